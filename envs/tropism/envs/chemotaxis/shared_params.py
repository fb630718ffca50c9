"""Parameters of the shared world: room, hunger, and too little food for everybody; or a level of the ladder."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tropism.envs.chemotaxis.levels import LEVELS, change
from tropism.envs.chemotaxis.params import Params
from tropism.errors import OptionError, UnknownNameError
from tropism.limits import within

MOST_ORGANISMS = 32
SHARED = Params(
    "Shared",
    width=24,
    height=24,
    steps=256,
    num_sources=(8,),
    num_harmful=2,
    energy_decay=0.015,
    energy_gain=0.25,
    deplete=True,
    respawn_delay=8,
)
"""L1.0 on a larger grid."""
WORLDS = {SHARED.level: SHARED} | LEVELS
"""Worlds that organisms can share."""


def make_shared_params(
    level: str, organisms: int, max_cycles: int | None, **overrides: Any
) -> Params:
    """Parameters of one of :data:`WORLDS` with some fields replaced.

    ``max_episode_steps`` becomes ``max_cycles``, or ``steps`` without it.

    Raises:
        UnknownNameError: if the level or a field does not exist; near names are suggested.
        OptionError: if a value is out of range, or means nothing in that world.
    """
    within("organisms", organisms, 1, MOST_ORGANISMS, integer=True)
    if "max_episode_steps" in overrides:
        raise OptionError("max_episode_steps is called max_cycles where organisms share a world")
    if max_cycles is not None:
        within("max_cycles", max_cycles, 1, 2**30, integer=True)
    if level not in WORLDS:
        raise UnknownNameError("Chemotaxis level", level, WORLDS)
    params = change(WORLDS[level], **overrides)
    return replace(params, max_episode_steps=max_cycles or params.steps)
