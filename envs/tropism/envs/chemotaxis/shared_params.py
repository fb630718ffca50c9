"""Parameters of the shared world: a level of the ladder, for several organisms."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tropism.envs.chemotaxis.levels import make_params
from tropism.envs.chemotaxis.limits import within
from tropism.envs.chemotaxis.params import Params
from tropism.errors import OptionError

MOST_ORGANISMS = 32
SHARED: dict[str, Any] = {
    "width": 24,
    "height": 24,
    "steps": 256,
    "num_sources": 8,
    "num_harmful": 2,
    "energy_decay": 0.015,
    "energy_gain": 0.25,
    "respawn_delay": 8,
}
"""What the shared world has otherwise than L1.0: room, and too little food for everybody."""


def make_shared_params(
    level: str | None, organisms: int, max_cycles: int | None, **overrides: Any
) -> Params:
    """Parameters of the shared world, or of ``level``, with some fields replaced.

    ``max_episode_steps`` becomes ``max_cycles``, or ``steps`` without it.

    Raises:
        UnknownNameError: if the level or a field does not exist; near names are suggested.
        OptionError: if a value is out of range, or means nothing on the level.
    """
    within("organisms", organisms, 1, MOST_ORGANISMS, integer=True)
    if "max_episode_steps" in overrides:
        raise OptionError("max_episode_steps is called max_cycles where organisms share a world")
    if max_cycles is not None:
        within("max_cycles", max_cycles, 1, 2**30, integer=True)
    if level is None:
        params = replace(make_params("L1.0", **SHARED | overrides), level="Shared")
    else:
        params = make_params(level, **overrides)
    return replace(params, max_episode_steps=max_cycles or params.steps)
