"""Settings of what stands between a genome and its full evaluation, with their ranges."""

from __future__ import annotations

from dataclasses import dataclass

from tropism.limits import check_number


@dataclass(frozen=True)
class Viability:
    """A short look at every genome before it is evaluated in full; see :mod:`tropism_evosax.viability`.

    Attributes:
        episodes: in [1, 1024].
        steps: horizon of the look, in [1, 1e6].
        min_alive: steps to be lived in one of the episodes, in [0, 1e6].
        min_entropy: of its actions, in nats, in [0, 10].
        min_energy: left at its end, as a fraction of full, in [0, 1].
    """

    episodes: int = 2
    steps: int = 64
    min_alive: int = 32
    min_entropy: float = 0.1
    min_energy: float = 0.0

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        check_number("viability.episodes", self.episodes, 1, 1024, integer=True)
        check_number("viability.steps", self.steps, 1, 1_000_000, integer=True)
        check_number("viability.min_alive", self.min_alive, 0, self.steps, integer=True)
        check_number("viability.min_entropy", self.min_entropy, 0, 10)
        check_number("viability.min_energy", self.min_energy, 0, 1)


@dataclass(frozen=True)
class Rung:
    """A cheap evaluation that decides who is evaluated further; see :mod:`tropism_evosax.rungs`.

    Attributes:
        steps: horizon, in [1, 1e6].
        episodes: in [1, 1024].
        keep: fraction that goes on, in (0, 1].
    """

    steps: int = 64
    episodes: int = 2
    keep: float = 0.5

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        check_number("rung.steps", self.steps, 1, 1_000_000, integer=True)
        check_number("rung.episodes", self.episodes, 1, 1024, integer=True)
        check_number("rung.keep", self.keep, 1e-6, 1)


@dataclass(frozen=True)
class Novelty:
    """An archive of behaviours; see :mod:`tropism_evosax.novelty`.

    Attributes:
        weight: of novelty in what the strategy is told, in [0, 1]; 0 only uses it for the quota of the rungs.
        quota: fraction of each promotion that goes to the most novel of the others, in [0, 1].
        neighbours: behaviours that novelty is measured to, in [1, 1024].
        capacity: behaviours remembered, the oldest forgotten first, in [1, 65536].
        additions: behaviours a generation that are remembered, the most novel, in [1, 65536].
    """

    weight: float = 0.0
    quota: float = 0.1
    neighbours: int = 10
    capacity: int = 1024
    additions: int = 4

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        check_number("novelty.weight", self.weight, 0, 1)
        check_number("novelty.quota", self.quota, 0, 1)
        check_number("novelty.neighbours", self.neighbours, 1, 1024, integer=True)
        check_number("novelty.capacity", self.capacity, 1, 65_536, integer=True)
        check_number("novelty.additions", self.additions, 1, 65_536, integer=True)
