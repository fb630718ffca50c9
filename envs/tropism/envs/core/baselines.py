"""Baselines: the reference players an environment brings along, before any agent is installed.

They are part of the data sheet of an environment (what does random score? what is the best possible?), so
they live beside it and know nothing of agents; ``tropism.agents`` wraps them into policies.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from tropism.envs.core.random import bits, episode_key, seed_key


class Baseline(ABC):
    """A player for ``num_lanes`` lanes, vectorised over them.

    Args:
        num_lanes: lanes ``B``.
    """

    privileged: ClassVar[bool] = False
    """Reads labels out of ``info`` (an oracle)."""

    def __init__(self, num_lanes: int) -> None:
        self.num_lanes = num_lanes

    def reset(self, mask: npt.NDArray[np.bool_], seeds: npt.NDArray[np.uint64]) -> None:  # noqa: B027  optional
        """Begin an episode in the lanes of ``mask`` (``bool[B]``); ``seeds`` (``uint64[B]``) are their randomness."""

    @abstractmethod
    def act(
        self, observation: Any, info: Mapping[str, Any]
    ) -> tuple[npt.NDArray[Any], npt.NDArray[np.float64] | None]:
        """Actions ``[B, ...]`` and, for discrete actions, log-probabilities ``float64[B, n]`` (else ``None``)."""

    def observe(  # noqa: B027  optional
        self,
        action: npt.NDArray[Any],
        observation: Any,
        reward: npt.NDArray[np.float64],
        terminated: npt.NDArray[np.bool_],
        truncated: npt.NDArray[np.bool_],
        info: Mapping[str, Any],
    ) -> None:
        """Learn the outcome of ``action``; ``observation`` is the next one.  The default does nothing."""


class LaneRandom:
    """Independent random words for each lane: a lane's draws depend on its seed and its own draw count only."""

    STREAM = 0x5EED

    def __init__(self, num_lanes: int) -> None:
        self._keys = [(0, 0)] * num_lanes
        self._counts = [0] * num_lanes

    def reset(self, mask: npt.NDArray[np.bool_], seeds: npt.NDArray[np.uint64]) -> None:
        """Restart the lanes of ``mask`` from ``seeds``."""
        for lane in np.flatnonzero(mask):
            self._keys[lane] = episode_key(seed_key(int(seeds[lane])), 0)
            self._counts[lane] = 0

    def words(self) -> npt.NDArray[np.uint32]:
        """One fresh 32-bit word a lane, ``uint32[B]``."""
        words = [bits(key, n, self.STREAM) for key, n in zip(self._keys, self._counts, strict=True)]
        self._counts = [n + 1 for n in self._counts]
        return np.array(words, dtype=np.uint32)
