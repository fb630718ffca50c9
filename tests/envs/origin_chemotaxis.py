"""The chemotaxis world of koki2, restated slowly and obviously, with nothing left to chance.

koki2 (K. Kis, 2025), https://github.com/Krisztiaan/koki2, computes in floating point and draws as it goes.  Here
whatever it would draw is handed in from outside, so that the world can be stepped beside any other that claims the
same rules: same state and same outcomes in, same state out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

Cell = tuple[int, int]
MOVES: tuple[Cell, ...] = ((0, 0), (0, -1), (0, 1), (-1, 0), (1, 0))
"""Stay, up, down, left, right."""


@dataclass(frozen=True)
class Schedule:
    """A smooth rise from ``low`` to ``high`` while the share of life lived goes from ``start`` to ``end``."""

    low: float
    high: float
    start: float = 0.0
    end: float = 0.0

    def at(self, phi: float) -> float:
        if self.end <= self.start:
            return self.high
        share = min(max((phi - self.start) / (self.end - self.start), 0.0), 1.0)
        return self.low + (self.high - self.low) * share * share * (3 - 2 * share)


@dataclass(frozen=True)
class Rules:
    """What stays the same for a whole life; the defaults are those of the line with one good source."""

    width: int = 64
    height: int = 1
    steps: int = 128
    decay: float | None = None
    gain: float = 0.05
    harm: float = 0.25
    good_only: bool = False
    deplete: bool = False
    respawn_delay: int = 4
    harmful_respawn_delay: int = -1
    terminate_on_reach: bool = False
    gradient_gain: Schedule = Schedule(1.0, 1.0)
    gradient_bins: Schedule = Schedule(0.0, 0.0)


@dataclass
class Source:
    """One source: where it is, what it does, and whether it is there at all."""

    cell: Cell
    harmful: bool
    active: bool = True
    timer: int = 0


@dataclass(frozen=True)
class Outcomes:
    """What chance decided for one step.

    ``respawn``: the cell of each source if it comes back now; ``used_up``: whether each harmful source disappears
    if it is arrived at; ``dropout``: no gradient in the observation after the step; ``noise``: added to it.
    """

    respawn: Sequence[Cell]
    used_up: Sequence[bool]
    dropout: bool = False
    noise: Sequence[float] = (0.0, 0.0, 0.0, 0.0)


@dataclass
class OriginWorld:
    """One life, in the open: read and set any attribute."""

    rules: Rules
    sources: list[Source]
    position: Cell
    energy: float = 1.0
    integrity: float = 1.0
    t: int = 0
    good_arrivals: int = 0
    bad_arrivals: int = 0
    gained: float = 0.0
    lost: float = 0.0
    integrity_min: float = field(init=False)
    reached: bool = False

    def __post_init__(self) -> None:
        self.integrity_min = self.integrity

    @property
    def decay(self) -> float:
        return 1.0 / self.rules.steps if self.rules.decay is None else self.rules.decay

    @property
    def fitness(self) -> float:
        return self.t + 10 * self.gained + 50 * self.reached

    @property
    def drive(self) -> float:
        """Squared distance from full energy and integrity."""
        return (self.energy - 1) ** 2 + (self.integrity - 1) ** 2

    @property
    def truncated(self) -> bool:
        return self.t >= self.rules.steps

    @property
    def terminated(self) -> bool:
        dead = self.energy <= 0 or self.integrity <= 0
        return dead or (self.rules.terminate_on_reach and self.reached)

    def step(self, action: int, outcomes: Outcomes) -> tuple[list[float], float]:
        """Act; the observation and what the life's fitness grew by."""
        before = self.fitness
        arrived = self._move(action)
        self._feed(arrived)
        if self.rules.deplete:
            self._turn_over(arrived, outcomes)
        return self.observation(outcomes.dropout, outcomes.noise), self.fitness - before

    def _touched(self) -> list[bool]:
        return [source.active and source.cell == self.position for source in self.sources]

    def _move(self, action: int) -> list[bool]:
        """Walk one cell, not over the edge; which sources this is an arrival at."""
        stood = self._touched()
        dx, dy = MOVES[action]
        x, y = self.position
        self.position = (
            min(max(x + dx, 0), self.rules.width - 1),
            min(max(y + dy, 0), self.rules.height - 1),
        )
        self.t += 1
        touched = self._touched()
        self.reached |= any(
            now and not source.harmful for now, source in zip(touched, self.sources, strict=True)
        )
        return [now and not was for now, was in zip(touched, stood, strict=True)]

    def _feed(self, arrived: list[bool]) -> None:
        """Pay for the step, then eat and suffer; levels stay in [0, 1], totals count all of it."""
        pairs = list(zip(arrived, self.sources, strict=True))
        good = sum(1 for here, source in pairs if here and not source.harmful)
        bad = sum(1 for here, source in pairs if here and source.harmful)
        gained = self.rules.gain * good
        self.energy = min(max(self.energy - self.decay + gained, 0.0), 1.0)
        lost = self.rules.harm * bad
        self.integrity = min(max(self.integrity - lost, 0.0), 1.0)
        self.integrity_min = min(self.integrity_min, self.integrity)
        self.good_arrivals += good
        self.bad_arrivals += bad
        self.gained += gained
        self.lost += lost

    def _turn_over(self, arrived: list[bool], outcomes: Outcomes) -> None:
        """Eaten sources disappear, missing ones wait and come back elsewhere."""
        for k, source in enumerate(self.sources):
            if arrived[k] and (not source.harmful or outcomes.used_up[k]):
                source.active, source.timer = False, self._delay(source)
            elif not source.active:
                source.timer -= 1
            if not source.active and source.timer <= 0:
                source.active, source.cell = True, outcomes.respawn[k]

    def _delay(self, source: Source) -> int:
        special = source.harmful and self.rules.harmful_respawn_delay >= 0
        return self.rules.harmful_respawn_delay if special else self.rules.respawn_delay

    def observation(
        self, dropout: bool = False, noise: Sequence[float] = (0.0, 0.0, 0.0, 0.0)
    ) -> list[float]:
        """Gradient along x and y, energy, integrity."""
        clean = [*self._gradient(dropout), self.energy, self.integrity]
        return [value + extra for value, extra in zip(clean, noise, strict=True)]

    def _gradient(self, dropout: bool) -> tuple[float, float]:
        nearest = self._nearest()
        if nearest is None or dropout:
            return 0.0, 0.0
        across = (nearest.cell[0] - self.position[0]) / max(self.rules.width - 1, 1)
        along = (nearest.cell[1] - self.position[1]) / max(self.rules.height - 1, 1)
        return self._developed(across), self._developed(along)

    def _nearest(self) -> Source | None:
        """The first of the nearest sources that can be sensed."""
        x, y = self.position
        sensed = [s for s in self.sources if s.active and not (self.rules.good_only and s.harmful)]
        return min(sensed, key=lambda s: (s.cell[0] - x) ** 2 + (s.cell[1] - y) ** 2, default=None)

    def _developed(self, value: float) -> float:
        """``value`` as senses of this age tell it: the share of life lived is 0 after the first step, too."""
        phi = max(self.t - 1, 0) / max(self.rules.steps - 1, 1)
        bins = self.rules.gradient_bins.at(phi)
        if bins > 0:
            value = round(value * bins) / bins
        return value * self.rules.gradient_gain.at(phi)
