"""The ladder: every level of Chemotaxis, as data."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from tropism.envs.chemotaxis.limits import MEANT_FOR
from tropism.envs.chemotaxis.params import FAMILY, Params
from tropism.errors import OptionError, UnknownNameError
from tropism.limits import within

_VALENCE: dict[str, Any] = {"num_sources": (4,), "num_harmful": 2}
_TEMPORAL: dict[str, Any] = _VALENCE | {"deplete": True}
_MEADOW: dict[str, Any] = {"width": 16, "height": 16, "num_sources": (2,), "deplete": True}
"""What one pressure at a time is put on from L1.2 on: two harmless sources that move when they were visited."""
_NEEDS: dict[str, Any] = _MEADOW | {"energy_decay": 0.02, "hydration_decay": 0.02, "steps": 256}
"""So scarce that who takes what is next does not see the end, and who plans the round does."""
_STORMS: dict[str, Any] = _MEADOW | {"storms": True, "storm_drain": 0.1}
"""One storm in the open is survived, two are not."""


def _level(name: str, **chosen: Any) -> Params:
    return Params(name, **chosen)


LEVELS: dict[str, Params] = {
    params.level: params
    for params in (
        _level("L0.0"),
        _level("L0.1", width=16, height=16),
        _level("L0.2", **_VALENCE),
        _level("L0.2-Informed", informed=True, **_VALENCE),
        _level("L1.0", **_TEMPORAL),
        _level("L1.1", gradient_dropout=0.5, **_TEMPORAL),
        _level("L1.2", walls=3, **_MEADOW),
        _level(
            "L2.0",
            energy_gain=0.18,
            hydration_gain=0.18,
            **_NEEDS | {"kinds": ("food", "water"), "num_sources": (3, 3)},
        ),
        _level(
            "L2.1",
            energy_gain=0.25,
            brine_cost=0.15,
            **_NEEDS | {"kinds": ("food", "water", "brine"), "num_sources": (3, 1, 3)},
        ),
        _level("L2.2", layout_period=8, sensing_range=2, **_MEADOW | {"num_sources": (4,)}),
        _level("L3.0", zones=4, **_MEADOW),
        _level("L3.1", **_STORMS),
        _level("L3.2", cue_probability=0.8, false_cue_probability=0.3, **_STORMS),
        _level(
            "L4.0",
            width=64,
            height=64,
            steps=512,
            num_sources=(6,),
            deplete=True,
            energy_gain=0.25,
            sensing_range=8,
        ),
        _level(
            "L4.1",
            switch="season",
            harm=0.15,
            **_MEADOW | {"kinds": ("red", "blue"), "num_sources": (2, 2)},
        ),
        _level(
            "L4.2",
            switch="goal",
            energy_decay=0.015,
            energy_gain=0.25,
            gain_weight=50.0,
            **_MEADOW | {"kinds": ("food", "water"), "num_sources": (2, 2)},
        ),
        _level("L5.0", family=True, **_MEADOW | {"num_sources": (4,)}),
    )
}
"""The levels: ``tropism/Chemotaxis-<level>-v0``."""


def make_params(level: str, **overrides: Any) -> Params:
    """Parameters of ``level`` with some fields replaced.

    Raises:
        UnknownNameError: if the level or a field does not exist; near names are suggested.
        OptionError: if a value is out of range, or means nothing on the level.
    """
    if level not in LEVELS:
        raise UnknownNameError("Chemotaxis level", level, LEVELS)
    return change(LEVELS[level], **overrides)


def change(base: Params, **overrides: Any) -> Params:
    """``base`` with some fields replaced.

    Raises:
        UnknownNameError: if a field does not exist; near names are suggested.
        OptionError: if a value is out of range, or means nothing in that world.
    """
    known = {f.name for f in fields(Params)} - {"level", "kinds", "switch", "family"}
    for name in overrides:
        if name not in known:
            raise UnknownNameError("Chemotaxis option", name, known)
    limit = overrides.pop("max_episode_steps", None)
    params = replace(base, **overrides)
    _check_meaning(params, overrides)
    limits = [None if limit == -1 else limit, params.steps if "steps" in overrides else None]
    if limits[0] is not None:
        within("max_episode_steps", limits[0], 1, 2**30, integer=True)
    return replace(params, max_episode_steps=min((n for n in limits if n), default=None))


def _check_meaning(params: Params, overrides: dict[str, Any]) -> None:
    """Refuse parameters of what is not there."""
    for name, value in overrides.items():
        need = MEANT_FOR.get(name)
        if need and not getattr(params, need):
            raise OptionError(f"{name}={value!r} means nothing on {params.level}: it needs {need}")
        if params.family and name in FAMILY:
            raise OptionError(
                f"{name}={value!r} means nothing on {params.level}: each episode draws its own, from {FAMILY[name]}"
            )
