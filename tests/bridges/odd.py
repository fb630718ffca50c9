"""Making the odd game, and looking for what it may have left behind."""

import sys
from pathlib import Path

from tests.bridges.traces import PATIENT

from tropism.bridges.env import BridgeEnv

GAME = Path(__file__).with_name("odd_game.py")
COMMAND = [sys.executable, str(GAME)]


def make(*arguments, **kwargs):
    """A `BridgeEnv` over the odd game."""
    kwargs = {"deadlines": PATIENT, **kwargs}
    return BridgeEnv([*COMMAND, *arguments], **kwargs)
