"""Two older formats that game mods speak today: MetaBonk's BonkLink v1 and Research v1.

Both are described byte by byte in docs/bridge-legacy.md, after https://github.com/vladdiethecoder/MetaBonk,
of which no code is used. The environments load Gymnasium; the rest needs NumPy at most.
"""

from tropism.bridges.legacy.bonklink import (
    Action,
    Enemy,
    HumanInput,
    Outcome,
    Request,
    State,
    click_at,
)
from tropism.bridges.legacy.bonklink_client import BonkLinkClient
from tropism.bridges.legacy.bonklink_env import BonkLinkEnv
from tropism.bridges.legacy.bonklink_frames import decode_frame, encode_raw
from tropism.bridges.legacy.bonklink_inbox import Event, Reading
from tropism.bridges.legacy.bonklink_server import BonkLinkServer
from tropism.bridges.legacy.research_agent import ResearchAgent, ResearchEnv
from tropism.bridges.legacy.research_game import ResearchGame

__all__ = [
    "Action",
    "BonkLinkClient",
    "BonkLinkEnv",
    "BonkLinkServer",
    "Enemy",
    "Event",
    "HumanInput",
    "Outcome",
    "Reading",
    "Request",
    "ResearchAgent",
    "ResearchEnv",
    "ResearchGame",
    "State",
    "click_at",
    "decode_frame",
    "encode_raw",
]
