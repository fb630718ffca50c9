"""Players that know the library: the ideal observer, its most probable hypothesis, and the rule oracle."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from tropism.envs.core.baselines import Baseline
from tropism.envs.patternworld.observation import read
from tropism.envs.patternworld.observer import make_observer
from tropism.envs.patternworld.observer_law import FloatArray, IndexArray
from tropism.envs.patternworld.params import Params
from tropism.envs.patternworld.permutations import array_hop, array_unrank
from tropism.envs.patternworld.rules import library

PEEK_BELOW = 0.5
"""In ``probe`` mode a belief player peeks when its answer is less probable than this (a heuristic: the best
moment to peek is the solution of a partially observable decision process)."""
_TINY = np.finfo(np.float64).tiny


class BeliefPlayer(Baseline):
    """Keeps the exact belief and reports the predictive distribution as its log-probabilities.

    Raises:
        OptionError: if the belief of ``params`` is not computable.
    """

    def __init__(self, params: Params, num_lanes: int) -> None:
        super().__init__(num_lanes)
        self.params = params
        self.observer = make_observer(params, num_lanes)
        self._fresh = np.ones(num_lanes, bool)

    def reset(self, mask: npt.NDArray[np.bool_], seeds: npt.NDArray[np.uint64]) -> None:  # noqa: ARG002  nothing is random
        """Begin an episode in the lanes of ``mask``."""
        self._fresh |= mask

    def act(
        self,
        observation: Any,
        info: Mapping[str, Any],  # noqa: ARG002  labels are for the oracle
    ) -> tuple[IndexArray, FloatArray]:
        """Answers ``[B]`` and ``log P(next target)`` ``[B, n]``; PEEK, if there, has the floor of about -708."""
        if self._fresh.any():
            self.observer.reset(self._fresh, observation)
            self._fresh = np.zeros(self.num_lanes, bool)
        chances = self.observer.predict()
        action = self._answer(chances)
        if self.params.feedback == "probe":
            chance = chances[np.arange(self.num_lanes), action]
            action = np.where(chance < PEEK_BELOW, self.params.vocabulary, action)
            chances = np.pad(chances, ((0, 0), (0, 1)))
        return action, np.log(np.maximum(chances, _TINY))

    def observe(
        self,
        action: npt.NDArray[Any],
        observation: Any,
        reward: npt.NDArray[np.float64],
        terminated: npt.NDArray[np.bool_],  # noqa: ARG002  a new episode announces itself by reset
        truncated: npt.NDArray[np.bool_],  # noqa: ARG002  the same
        info: Mapping[str, Any],  # noqa: ARG002  labels are for the oracle
    ) -> None:
        """Update the belief with the outcome of ``action``."""
        self.observer.update(action, observation, reward)

    @abstractmethod
    def _answer(self, chances: FloatArray) -> IndexArray:
        """The token to answer with, ``[B]``, given the predictive distribution ``[B, V]``."""


class Ideal(BeliefPlayer):
    """Answers the most probable token: optimal in ``reveal`` mode, greedy in the others."""

    def _answer(self, chances: FloatArray) -> IndexArray:
        return chances.argmax(axis=1)


class MostProbable(BeliefPlayer):
    """Answers what the most probable hypothesis says, whatever the others say (a MAP filter)."""

    def _answer(self, chances: FloatArray) -> IndexArray:  # noqa: ARG002  it looks at hypotheses, not at tokens
        return self.observer.most_probable()


class Oracle(Baseline):
    """Is told the rule by ``info["rule"]``, follows the true tokens by ``info["target"]``: errs by noise only."""

    privileged = True

    def __init__(self, params: Params, num_lanes: int) -> None:
        super().__init__(num_lanes)
        self.params = params
        self._rules = None if params.family == "hop" else library(params)
        self._t = np.zeros(num_lanes, np.intp)
        self._token = np.zeros(num_lanes, np.intp)
        self._previous = np.zeros(num_lanes, np.intp)
        self._target = np.zeros(num_lanes, np.intp)
        self._fresh = np.ones(num_lanes, bool)

    def reset(self, mask: npt.NDArray[np.bool_], seeds: npt.NDArray[np.uint64]) -> None:  # noqa: ARG002  nothing is random
        """Begin an episode in the lanes of ``mask``."""
        self._fresh |= mask

    def act(self, observation: Any, info: Mapping[str, Any]) -> tuple[IndexArray, FloatArray]:
        """Answers ``[B]`` of the rules in ``info`` and the log-probabilities that noise leaves them ``[B, n]``."""
        seen = read(observation)
        if self._fresh.any():
            self._begin(seen.history)
        self._target = np.asarray(info["target"], np.intp)
        rule = np.asarray(info["rule"], np.intp)
        if self._rules is None:
            answer = array_hop(np, array_unrank(np, rule), seen.history[:, -1], seen.query_k)
        else:
            answer = self._rules.table[rule, self._context(), self._token]
        answer = answer.astype(np.intp)
        return answer, self._log_probs(answer)

    def _begin(self, history: npt.NDArray[np.int64]) -> None:
        self._t[self._fresh] = 0
        self._token = np.where(self._fresh, history[:, -1], self._token)
        if self.params.family == "order2":
            self._previous = np.where(self._fresh, history[:, -2], self._previous)
        self._fresh = np.zeros(self.num_lanes, bool)

    def _context(self) -> Any:
        kinds = {"none": 0, "phase": self._t & 1, "previous": self._previous}
        return kinds[self._rules.context if self._rules else "none"]

    def _log_probs(self, answer: IndexArray) -> FloatArray:
        noise, v = self.params.noise, self.params.vocabulary
        chances = np.zeros((self.num_lanes, self.params.num_actions))
        chances[:, :v] = noise / v
        chances[np.arange(self.num_lanes), answer] += 1.0 - noise
        return np.log(np.maximum(chances, _TINY))

    def observe(
        self,
        action: npt.NDArray[Any],
        observation: Any,  # noqa: ARG002  masked or not, the label told the target
        reward: npt.NDArray[np.float64],  # noqa: ARG002  nothing is left to learn
        terminated: npt.NDArray[np.bool_],  # noqa: ARG002  a new episode announces itself by reset
        truncated: npt.NDArray[np.bool_],  # noqa: ARG002  the same
        info: Mapping[str, Any],  # noqa: ARG002  read when it acts
    ) -> None:
        """Follow the token: the target, or the answer given in ``closed`` mode."""
        self._t += 1
        self._previous = self._token
        self._token = np.asarray(
            action if self.params.feedback == "closed" else self._target, np.intp
        )
