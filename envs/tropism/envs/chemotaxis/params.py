"""Constants of the Chemotaxis worlds.

Provenance of L0.0 to L1.1: koki2 (K. Kis, 2025), https://github.com/Krisztiaan/koki2, whose dynamics, defaults and
fitness they keep.  Every number that changes behaviour is a field here; ``levels`` has the table of levels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

from tropism.envs.chemotaxis.development import Development, make_development
from tropism.envs.chemotaxis.limits import (
    FLAGS,
    INTEGERS,
    NUMBERS,
    SPANS,
    counts,
    pair,
    span,
)
from tropism.errors import OptionError
from tropism.limits import check_flag, within

UNIT = 6400
"""Fixed-point units in 1.0 of energy or integrity: 1/128, 1/256, .05 and .25 are whole numbers of them."""
POINT = 128
"""Points in 1.0 of reward: 10 x a gain of .05 is 64 of them, and every sum is exact in float32."""
MOST_SOURCES = 16


@dataclass(frozen=True)
class Params:
    """Everything that defines one Chemotaxis world.

    Attributes:
        level: name of the level these parameters started from.
        width: cells, in [1, 256].
        height: cells, in [1, 256].
        steps: steps of a life, to which phases of development refer, in [1, 16384].
        kinds: kinds of sources, in the order of their gradient channels: ``food`` gives energy, ``water`` hydration,
            ``brine`` hydration at the cost of energy, ``red`` and ``blue`` energy in their season and harm else.
        num_sources: sources of each kind, together in [1, 16].
        num_harmful: how many of the sources do harm instead of good; which ones is drawn.
        informed: the gradient leads to good sources only.
        energy_init: energy at birth, in (0, 1].
        energy_decay: energy lost a step, in [0, 1]; ``None`` is ``energy_init / steps``, so that who never eats
            dies at the last step.
        energy_gain: energy of a good source, in [0, 1].
        hydration_decay: hydration lost a step, in [0, 1].
        hydration_gain: hydration of water and brine, in [0, 1].
        brine_cost: energy that brine costs, in [0, 1].
        harm: integrity that a harmful source takes, in [0, 1].
        deplete: a source that was visited disappears.
        respawn_delay: steps until it appears elsewhere, in [0, 10000]; 0 is at once.
        harmful_deplete_p: probability that a visited harmful source disappears too.
        harmful_respawn_delay: the delay of harmful ones, or -1 for ``respawn_delay``.
        obs_noise: standard deviation of normal noise on every channel, in [0, 10].
        gradient_dropout: probability that the gradient channels read zero in a step.
        sensing_range: distance in cells beyond which a source is not sensed; 0 senses all.
        terminate_on_reach: the life ends on reaching a good source.
        walls: full-height walls with one gap each, in [0, (width - 2) // 3].
        zones: rectangles in which integrity drains, in [0, 16]; they may overlap.
        zone_size: their width and height in cells.
        zone_drain: integrity lost a step inside, in [0, 1].
        storms: storms rage now and then.
        storm_gap: least and most steps from the end of a storm to the next cue.
        cue_steps: steps for which the cue is seen.
        storm_delay: steps from the end of the cue to the storm.
        storm_steps: steps for which it rages.
        storm_drain: integrity lost a step outside the shelter, in [0, 1].
        shelter_size: width and height of the shelter in cells.
        cue_probability: probability that a storm is announced.
        false_cue_probability: probability that a cue announces nothing.
        switch: what changes at hidden times: ``season`` (which kind feeds), ``goal`` (which gain pays), or ``""``.
        switch_every: least and most steps between two changes.
        layout_period: episodes for which all sources lie in the same quadrant; 0 uses the whole grid.
        family: each episode draws a world of its own from :data:`FAMILY`.
        development: ramps of a growing organism, or ``None``.
        alive_weight: reward of a step, in [0, 100]; this and the next two are the origin's fitness.
        gain_weight: reward of 1.0 gained, in [0, 100].
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
    hydration_decay: float = 0.015
    hydration_gain: float = 0.25
    brine_cost: float = 0.1
    harm: float = 0.25
    deplete: bool = False
    respawn_delay: int = 4
    harmful_deplete_p: float = 1.0
    harmful_respawn_delay: int = -1
    obs_noise: float = 0.0
    gradient_dropout: float = 0.0
    sensing_range: int = 0
    terminate_on_reach: bool = False
    walls: int = 0
    zones: int = 0
    zone_size: tuple[int, int] = (4, 4)
    zone_drain: float = 0.05
    storms: bool = False
    storm_gap: tuple[int, int] = (12, 24)
    cue_steps: int = 2
    storm_delay: int = 8
    storm_steps: int = 6
    storm_drain: float = 0.06
    shelter_size: tuple[int, int] = (3, 3)
    cue_probability: float = 1.0
    false_cue_probability: float = 0.0
    switch: str = ""
    switch_every: tuple[int, int] = (24, 40)
    layout_period: int = 0
    family: bool = False
    development: Development | None = None
    alive_weight: float = 1.0
    gain_weight: float = 10.0
    reach_weight: float = 50.0
    max_episode_steps: int | None = None

    def __post_init__(self) -> None:
        """Refuse what no world can be built from; make lists of JSON hashable."""
        for name, (low, high) in INTEGERS.items():
            within(name, getattr(self, name), low, high, integer=True)
        for name, (low, high) in NUMBERS.items():
            within(name, getattr(self, name), low, high)
        for name in FLAGS:
            check_flag(name, getattr(self, name))
        self._settle()
        within("num_harmful", self.num_harmful, 0, self.total_sources, integer=True)
        within("walls", self.walls, 0, max(self.width - 2, 0) // 3, integer=True)
        if self.energy_decay is not None:
            within("energy_decay", self.energy_decay, 0, 1)
        if self.layout_period and min(self.size) < 2:
            raise OptionError(f"layout_period needs a grid of at least 2 x 2, got {self.size}")
        if self.family and self.total_sources < max(FAMILY["num_harmful"]):
            raise OptionError(f"num_sources must be at least 2 on L5.0, got {self.num_sources}")
        if not units(self.energy_init):
            raise OptionError(f"energy_init must be at least 1/{UNIT}, got {self.energy_init}")
        self._check_score()

    def _settle(self) -> None:
        """Bring compound fields into their form."""
        settled = {name: span(name, getattr(self, name)) for name in SPANS}
        if self.zones:
            settled["zone_size"] = pair("zone_size", self.zone_size, 1, self.size)
        if self.storms:
            settled["shelter_size"] = pair("shelter_size", self.shelter_size, 1, self.size)
        object.__setattr__(self, "development", make_development(self.development))
        numbers = counts("num_sources", self.num_sources, len(self.kinds), MOST_SOURCES)
        for name, value in (settled | {"num_sources": numbers}).items():
            object.__setattr__(self, name, value)

    def _check_score(self) -> None:
        """The points of a life must be exact in 32 bits and in float32."""
        numerator, denominator = self.gain_points
        ramp = self.development and self.development.resources
        most = max(self.energy_gain, self.hydration_gain * self.thirsty)
        most *= max(1.0, ramp.low, ramp.high) if ramp else 1.0
        gained = self.steps * self.total_sources * units(most) * numerator
        alive, reached = points(self.alive_weight) * self.steps, points(self.reach_weight)
        if gained >= 2**31 or gained // denominator + alive + reached > 2**24:
            raise OptionError(
                f"steps={self.steps}, {self.total_sources} sources and gains up to {most:g} with the weights "
                f"{self.alive_weight}, {self.gain_weight}, {self.reach_weight} could bring a return above "
                f"{2**24 // POINT}, the most that is exact: lower one of them"
            )

    @property
    def total_sources(self) -> int:
        """Sources of all kinds, ``K``."""
        return sum(self.num_sources)

    @property
    def kind_of(self) -> tuple[int, ...]:
        """Number of the kind of each source; those of one kind stand together."""
        return tuple(n for n, count in enumerate(self.num_sources) for _ in range(count))

    @property
    def thirsty(self) -> bool:
        """Hydration is a need."""
        return "water" in self.kinds

    @property
    def size(self) -> tuple[int, int]:
        """Cells along x and y."""
        return self.width, self.height

    @property
    def start(self) -> tuple[int, int]:
        """Where the organism begins."""
        return self.width // 2, self.height // 2

    @property
    def plain(self) -> bool:
        """A world of the origin: no mechanism beyond L1.1, an adult organism."""
        more = (self.walls, self.zones, self.storms, self.switch, self.layout_period, self.family)
        return self.kinds == ("food",) and not any(more) and self.development is None

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


FAMILY: dict[str, tuple[float, ...]] = {
    "num_harmful": (0, 1, 2),
    "gradient_dropout": (0.0, 0.25, 0.5),
    "respawn_delay": (1, 4, 16),
    "harm": (0.1, 0.25, 0.5),
}
"""What each episode of the family of worlds (L5.0) draws, each value with equal chance."""


def units(value: float) -> int:
    """``value`` in fixed-point units, rounded."""
    return round(value * UNIT)


def points(weight: float) -> int:
    """A reward in points, rounded."""
    return round(weight * POINT)
