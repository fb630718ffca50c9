"""Ranges of the parameters of Chemotaxis, and the checks that hold them."""

from __future__ import annotations

from typing import Any

from tropism.errors import OptionError

INTEGERS: dict[str, tuple[int, int]] = {
    "width": (1, 256),
    "height": (1, 256),
    "steps": (1, 2**14),
    "respawn_delay": (0, 10_000),
    "harmful_respawn_delay": (-1, 10_000),
    "sensing_range": (0, 1000),
    "zones": (0, 16),
    "cue_steps": (1, 1000),
    "storm_delay": (0, 1000),
    "storm_steps": (1, 1000),
    "layout_period": (0, 2**30),
}
NUMBERS: dict[str, tuple[float, float]] = {
    "energy_init": (0, 1),
    "energy_gain": (0, 1),
    "hydration_decay": (0, 1),
    "hydration_gain": (0, 1),
    "brine_cost": (0, 1),
    "harm": (0, 1),
    "harmful_deplete_p": (0, 1),
    "obs_noise": (0, 10),
    "gradient_dropout": (0, 1),
    "zone_drain": (0, 1),
    "storm_drain": (0, 1),
    "cue_probability": (0, 1),
    "false_cue_probability": (0, 1),
    "alive_weight": (0, 100),
    "gain_weight": (0, 100),
    "reach_weight": (0, 1000),
}
FLAGS = ("informed", "deplete", "terminate_on_reach", "storms")
SPANS = ("storm_gap", "switch_every")
"""Pairs ``(least, most)`` of steps."""
SIZES = ("zone_size", "shelter_size")
"""Pairs ``(width, height)`` of cells, no larger than the grid."""

MEANT_FOR = {
    "respawn_delay": "deplete",
    "harmful_deplete_p": "deplete",
    "harmful_respawn_delay": "deplete",
    "hydration_decay": "thirsty",
    "hydration_gain": "thirsty",
    "brine_cost": "thirsty",
    "zone_size": "zones",
    "zone_drain": "zones",
    "storm_gap": "storms",
    "cue_steps": "storms",
    "storm_delay": "storms",
    "storm_steps": "storms",
    "storm_drain": "storms",
    "shelter_size": "storms",
    "cue_probability": "storms",
    "false_cue_probability": "storms",
    "switch_every": "switch",
}
"""What a parameter needs to have a meaning."""


def pair(name: str, given: Any, low: int, high: tuple[int, int]) -> tuple[int, int]:
    """Two integers, each in ``[low, high]``.

    Raises:
        OptionError: for anything else.
    """
    right = isinstance(given, (tuple, list)) and len(given) == 2
    if not right or any(
        isinstance(n, bool) or not isinstance(n, int) or not low <= n <= most
        for n, most in zip(given, high, strict=True)
    ):
        raise OptionError(
            f"{name} must be two integers in [{low}, {high[0]}] and [{low}, {high[1]}], got {given!r}"
        )
    return given[0], given[1]


def span(name: str, given: Any) -> tuple[int, int]:
    """``(least, most)`` steps, at least one.

    Raises:
        OptionError: for anything else.
    """
    least, most = pair(name, given, 1, (10_000, 10_000))
    if least > most:
        raise OptionError(f"{name} must be (least, most) with least <= most, got {given!r}")
    return least, most


def counts(name: str, given: Any, kinds: int, most: int) -> tuple[int, ...]:
    """One integer >= 0 for each of ``kinds``, together in ``[1, most]``; for one kind a number will do.

    Raises:
        OptionError: for anything else.
    """
    numbers = (given,) if isinstance(given, int) else given
    right = isinstance(numbers, (tuple, list)) and len(numbers) == kinds
    if not right or any(isinstance(n, bool) or not isinstance(n, int) or n < 0 for n in numbers):
        raise OptionError(
            f"{name} must be one integer >= 0 for each of {kinds} kinds, got {given!r}"
        )
    if not 1 <= sum(numbers) <= most:
        raise OptionError(f"{name} must sum to [1, {most}], got {given!r}")
    return tuple(numbers)
