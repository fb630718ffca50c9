"""Constants of the Chemotaxis worlds.

Provenance of L0.0 to L1.1: koki2 (K. Kis, 2025), https://github.com/Krisztiaan/koki2, whose dynamics, defaults and
fitness they keep.  Every number that changes behaviour is a field here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from typing import Any

import numpy as np

from tropism.envs.chemotaxis.development import Development, make_development
from tropism.errors import OptionError, UnknownNameError

UNIT = 6400
"""Fixed-point units in 1.0 of energy or integrity: 1/128, 1/256, .05 and .25 are whole numbers of them."""
POINT = 128
"""Points in 1.0 of reward: 10 x a gain of .05 is 64 of them, and every sum is exact in float32."""
MOST_SOURCES = 16
LONGEST = 2**14
"""Most steps of a life."""


@dataclass(frozen=True)
class Params:
    """Everything that defines one Chemotaxis world.

    Attributes:
        level: name of the level these parameters started from.
        width: cells, in [1, 256].
        height: cells, in [1, 256].
        steps: steps of a life, to which phases of development refer, in [1, 16384].
        kinds: kinds of sources, in the order of their gradient channels.
        num_sources: sources of each kind, together in [1, 16].
        num_harmful: how many of the sources do harm instead of good; which ones is drawn.
        informed: the gradient leads to good sources only.
        energy_init: energy at birth, in (0, 1].
        energy_decay: energy lost a step, in [0, 1]; ``None`` is ``energy_init / steps``, so that who never eats
            dies at the last step.
        energy_gain: energy of a good source, in [0, 1].
        harm: integrity that a harmful source takes, in [0, 1].
        deplete: a source that was visited disappears.
        respawn_delay: steps until it appears elsewhere, in [0, 10000]; 0 is at once.
        harmful_deplete_p: probability that a visited harmful source disappears too.
        harmful_respawn_delay: the delay of harmful ones, or -1 for ``respawn_delay``.
        obs_noise: standard deviation of normal noise on every channel, in [0, 10].
        gradient_dropout: probability that the gradient channels read zero in a step.
        sensing_range: distance in cells beyond which a source is not sensed; 0 senses all.
        terminate_on_reach: the life ends on reaching a good source.
        development: ramps of a growing organism, or ``None``.
        alive_weight: reward of a step, in [0, 100]; this and the next two are the origin's fitness.
        gain_weight: reward of 1.0 of energy gained, in [0, 100].
        reach_weight: reward of reaching a good source for the first time, in [0, 1000].
        max_episode_steps: steps until truncation; ``None`` for no limit.  ``gym.make`` truncates by ``TimeLimit``,
            and the environment itself only where a number of ``steps`` was asked for.
    """

    level: str = "L0.2"
    width: int = 64
    height: int = 1
    steps: int = 128
    kinds: tuple[str, ...] = ("food",)
    num_sources: tuple[int, ...] = (1,)
    num_harmful: int = 0
    informed: bool = False
    energy_init: float = 1.0
    energy_decay: float | None = None
    energy_gain: float = 0.05
    harm: float = 0.25
    deplete: bool = False
    respawn_delay: int = 4
    harmful_deplete_p: float = 1.0
    harmful_respawn_delay: int = -1
    obs_noise: float = 0.0
    gradient_dropout: float = 0.0
    sensing_range: int = 0
    terminate_on_reach: bool = False
    development: Development | None = None
    alive_weight: float = 1.0
    gain_weight: float = 10.0
    reach_weight: float = 50.0
    max_episode_steps: int | None = None

    def __post_init__(self) -> None:
        """Refuse what no world can be built from."""
        object.__setattr__(self, "development", make_development(self.development))
        object.__setattr__(self, "num_sources", _counts(self.num_sources, len(self.kinds)))
        for name, (low, high) in _INTEGERS.items():
            within(name, getattr(self, name), low, high, integer=True)
        for name, (low, high) in _NUMBERS.items():
            within(name, getattr(self, name), low, high)
        for name in _FLAGS:
            if not isinstance(getattr(self, name), bool):
                raise OptionError(f"{name} must be True or False, got {getattr(self, name)!r}")
        within("num_harmful", self.num_harmful, 0, self.total_sources, integer=True)
        if self.energy_decay is not None:
            within("energy_decay", self.energy_decay, 0, 1)
        if self.max_episode_steps is not None:
            within("max_episode_steps", self.max_episode_steps, 1, 2**30, integer=True)
        if not units(self.energy_init):
            raise OptionError(f"energy_init must be at least 1/{UNIT}, got {self.energy_init}")
        self._check_score()

    def _check_score(self) -> None:
        """The points of a life must be exact in 32 bits and in float32."""
        numerator, denominator = self.gain_points
        gained = self.steps * self.total_sources * units(self.energy_gain) * numerator
        alive, reached = points(self.alive_weight) * self.steps, points(self.reach_weight)
        if gained >= 2**31 or gained // denominator + alive + reached > 2**24:
            raise OptionError(
                f"steps={self.steps}, {self.total_sources} sources and energy_gain={self.energy_gain} with the weights "
                f"{self.alive_weight}, {self.gain_weight}, {self.reach_weight} could bring a return above "
                f"{2**24 // POINT}, the most that is exact: lower one of them"
            )

    @property
    def total_sources(self) -> int:
        """Sources of all kinds, ``K``."""
        return sum(self.num_sources)

    @property
    def size(self) -> tuple[int, int]:
        """Cells along x and y."""
        return self.width, self.height

    @property
    def start(self) -> tuple[int, int]:
        """Where the organism begins."""
        return self.width // 2, self.height // 2

    @property
    def gain_points(self) -> tuple[int, int]:
        """Points of a gain of ``n`` units are ``n * numerator // denominator``."""
        return Fraction(points(self.gain_weight), UNIT).as_integer_ratio()

    @property
    def energy_decay_units(self) -> int:
        """Energy lost a step, in units."""
        if self.energy_decay is None:
            return math.ceil(units(self.energy_init) / self.steps)
        return units(self.energy_decay)


def units(value: float) -> int:
    """``value`` in fixed-point units, rounded."""
    return round(value * UNIT)


def points(weight: float) -> int:
    """A reward in points, rounded."""
    return round(weight * POINT)


_INTEGERS = {
    "width": (1, 256),
    "height": (1, 256),
    "steps": (1, LONGEST),
    "respawn_delay": (0, 10_000),
    "harmful_respawn_delay": (-1, 10_000),
    "sensing_range": (0, 1000),
}
_NUMBERS = {
    "energy_init": (0, 1),
    "energy_gain": (0, 1),
    "harm": (0, 1),
    "harmful_deplete_p": (0, 1),
    "obs_noise": (0, 10),
    "gradient_dropout": (0, 1),
    "alive_weight": (0, 100),
    "gain_weight": (0, 100),
    "reach_weight": (0, 1000),
}
_FLAGS = ("informed", "deplete", "terminate_on_reach")


def within(name: str, value: Any, low: float, high: float, *, integer: bool = False) -> None:
    """Check a number.

    Raises:
        OptionError: unless ``value`` is a number (an integer if asked) in ``[low, high]``.
    """
    kinds = (int, np.integer) if integer else (int, float, np.number)
    if isinstance(value, bool) or not isinstance(value, kinds) or not low <= value <= high:
        kind = "an integer" if integer else "a number"
        raise OptionError(f"{name} must be {kind} in [{low}, {high}], got {value!r}")


def _counts(given: Any, kinds: int) -> tuple[int, ...]:
    """Sources of each kind; one number will do for one kind."""
    counts = (given,) if isinstance(given, int) else given
    right = isinstance(counts, (tuple, list)) and len(counts) == kinds
    if not right or any(isinstance(n, bool) or not isinstance(n, int) or n < 0 for n in counts):
        raise OptionError(
            f"num_sources must be one integer >= 0 for each of {kinds} kinds, got {given!r}"
        )
    if not 1 <= sum(counts) <= MOST_SOURCES:
        raise OptionError(f"num_sources must sum to [1, {MOST_SOURCES}], got {given!r}")
    return tuple(counts)


_ORIGIN: dict[str, Any] = {"num_sources": (4,), "num_harmful": 2}
_TEMPORAL: dict[str, Any] = _ORIGIN | {"deplete": True}

LEVELS: dict[str, Params] = {
    "L0.0": Params("L0.0"),
    "L0.1": Params("L0.1", 16, 16),
    "L0.2": Params("L0.2", **_ORIGIN),
    "L0.2-Informed": Params("L0.2-Informed", informed=True, **_ORIGIN),
    "L1.0": Params("L1.0", **_TEMPORAL),
    "L1.1": Params("L1.1", gradient_dropout=0.5, **_TEMPORAL),
}
"""The levels: ``tropism/Chemotaxis-<level>-v0``."""


def make_params(level: str, **overrides: Any) -> Params:
    """Parameters of ``level`` with some fields replaced.

    Raises:
        UnknownNameError: if the level or a field does not exist; near names are suggested.
        OptionError: if a value is out of range.
    """
    if level not in LEVELS:
        raise UnknownNameError("Chemotaxis level", level, LEVELS)
    known = {f.name for f in fields(Params)} - {"level", "kinds"}
    for name in overrides:
        if name not in known:
            raise UnknownNameError("Chemotaxis option", name, known)
    _check_depletion(LEVELS[level].deplete, overrides)
    limit = overrides.pop("max_episode_steps", None)
    params = replace(LEVELS[level], **overrides)
    limits = [None if limit == -1 else limit, params.steps if "steps" in overrides else None]
    if limits[0] is not None:
        within("max_episode_steps", limits[0], 1, 2**30, integer=True)
    return replace(params, max_episode_steps=min((n for n in limits if n), default=None))


def _check_depletion(deplete: bool, overrides: dict[str, Any]) -> None:
    """Parameters of reappearance mean something only where sources disappear."""
    if overrides.get("deplete", deplete):
        return
    for name in ("respawn_delay", "harmful_deplete_p", "harmful_respawn_delay"):
        if name in overrides:
            raise OptionError(
                f"{name}={overrides[name]!r} needs deplete=True: no source disappears"
            )
