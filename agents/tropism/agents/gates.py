"""What an evaluation may impose on the costly mode of a policy, and what it charges for compute."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tropism.agents.episodes import Episode
from tropism.envs.core.random import bits, episode_key, seed_key

BoolArray = npt.NDArray[np.bool_]


class Gate(ABC):
    """Decides, before each decision, which lanes are told their mode."""

    max_lanes: int | None = None

    @abstractmethod
    def begin(self, lane: int, seed: int) -> None:
        """An episode of ``seed`` begins in ``lane``."""

    @abstractmethod
    def impose(self, lanes: int) -> BoolArray | None:
        """``bool[B]`` imposes the mode of every lane (true: costly); ``None`` lets the policy decide."""

    def charge(self, compute: npt.NDArray[np.int64]) -> None:  # noqa: B027  chance costs nothing
        """What the decision cost, ``int64[B]``.  The default forgets it."""


class RandomGate(Gate):
    """The matched-random control: the costly mode i.i.d. by lane and step.

    A policy whose own gate knows *when* to think beats itself under a random gate of the same rate.  The draws
    depend on ``seed``, the episode's seed and the step only.

    Args:
        rate: probability of the costly mode, in [0, 1].
        seed: non-negative.
    """

    STREAM = 0x6A7E

    def __init__(self, rate: float, seed: int = 0) -> None:
        if not 0.0 <= rate <= 1.0:
            raise ValueError(f"RandomGate.rate must be in [0, 1], got {rate}")
        self.rate, self.seed = float(rate), int(seed)
        self._threshold = round(self.rate * 2**32)
        self._keys: dict[int, tuple[int, int]] = {}
        self._steps: dict[int, int] = {}

    def begin(self, lane: int, seed: int) -> None:
        """Draw from ``(self.seed, seed)`` from here on."""
        self._keys[lane] = episode_key(seed_key(self.seed), seed)
        self._steps[lane] = 0

    def impose(self, lanes: int) -> BoolArray:
        """One draw a lane."""
        drawn = [bits(self._keys[lane], self._steps[lane], self.STREAM) for lane in range(lanes)]
        for lane in range(lanes):
            self._steps[lane] += 1
        return np.array(drawn, dtype=np.uint64) < self._threshold


class TokenBucket(Gate):
    """A budget of compute that refills: while it is empty the cheap mode is imposed.

    Played in one lane, because a gate tells either every lane or none.

    Args:
        rate: units of compute that flow in each step, > 0.
        capacity: most units it holds, and what an episode starts with, > 0.
        costly: units a costly decision needs; with fewer in the bucket the cheap mode is imposed.
    """

    max_lanes = 1

    def __init__(self, rate: float, capacity: float, costly: float = 1.0) -> None:
        for name, value in (("rate", rate), ("capacity", capacity), ("costly", costly)):
            if not value > 0:
                raise ValueError(f"TokenBucket.{name} must be > 0, got {value}")
        if costly > capacity:
            raise ValueError(f"TokenBucket.costly {costly} never fits into capacity {capacity}")
        self.rate, self.capacity, self.costly = float(rate), float(capacity), float(costly)
        self.level = self.capacity

    def begin(self, lane: int, seed: int) -> None:  # noqa: ARG002  one lane, no chance
        """Fill the bucket."""
        self.level = self.capacity

    def impose(self, lanes: int) -> BoolArray | None:
        """``None`` while a costly decision can be paid."""
        return None if self.level >= self.costly else np.zeros(lanes, dtype=np.bool_)

    def charge(self, compute: npt.NDArray[np.int64]) -> None:
        """Pay for the decision, then refill."""
        self.level = min(self.capacity, max(0.0, self.level - float(compute.sum())) + self.rate)


@dataclass(frozen=True)
class ComputePrice:
    """A price of compute: the net score is the return minus ``kappa`` a unit.

    Attributes:
        kappa: reward units per unit of compute, >= 0.
    """

    kappa: float

    def __post_init__(self) -> None:
        """Refuse a negative price."""
        if not self.kappa >= 0:
            raise ValueError(f"ComputePrice.kappa must be >= 0, got {self.kappa}")

    def net(self, episode: Episode) -> float:
        """The return of ``episode`` after paying for its compute."""
        return episode.score - self.kappa * float(episode.compute.sum())
