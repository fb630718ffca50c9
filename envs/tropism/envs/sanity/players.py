"""Kinds of baseline players that the sanity environments build theirs from."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tropism.envs.core.baselines import Baseline, LaneRandom


class Player(Baseline):
    """A deterministic player that knows the parameters of its environment.

    Args:
        num_lanes: lanes ``B``.
        params: the environment's ``Params``.
    """

    def __init__(self, num_lanes: int, params: Any) -> None:
        super().__init__(num_lanes)
        self.params = params

    def act(self, observation: Any, info: Mapping[str, Any]) -> tuple[npt.NDArray[Any], None]:  # noqa: ARG002  no player reads info
        """Actions ``[B, ...]``, without log-probabilities."""
        return self.choose(observation), None

    @abstractmethod
    def choose(self, observation: Any) -> npt.NDArray[Any]:
        """Actions ``[B, ...]`` for a batched observation."""


class FirstAction(Player):
    """Always action 0."""

    def choose(self, observation: Any) -> npt.NDArray[np.int64]:  # noqa: ARG002  blind on purpose
        """Zeros, ``int64[B]``."""
        return np.zeros(self.num_lanes, np.int64)


class Mixed(Baseline):
    """Plays one mixed strategy over a Discrete action space, whatever it sees.

    Args:
        num_lanes: lanes ``B``.
        weights: non-negative, proportional to the probabilities of the actions.
    """

    def __init__(self, num_lanes: int, weights: Sequence[float]) -> None:
        super().__init__(num_lanes)
        self._probabilities = np.array(weights) / np.sum(weights)
        self._random = LaneRandom(num_lanes)

    def reset(self, mask: npt.NDArray[np.bool_], seeds: npt.NDArray[np.uint64]) -> None:
        """Restart the lanes of ``mask`` from ``seeds``."""
        self._random.reset(mask, seeds)

    def act(
        self,
        observation: Any,  # noqa: ARG002  whatever it sees
        info: Mapping[str, Any],  # noqa: ARG002  the same
    ) -> tuple[npt.NDArray[Any], npt.NDArray[np.float64]]:
        """Actions ``int64[B]`` and their log-probabilities ``[B, n]``."""
        edges = np.cumsum(self._probabilities)[:-1]
        action = np.searchsorted(edges, self._random.words() / 2**32, side="right")
        with np.errstate(divide="ignore"):  # an action that is never played
            log_probs = np.log(np.tile(self._probabilities, (self.num_lanes, 1)))
        return action.astype(np.int64), log_probs
