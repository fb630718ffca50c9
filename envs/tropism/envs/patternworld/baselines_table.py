"""Players that look at tokens only: last difference, successor table, successor table with CUSUM resets.

Where the answer is masked they learn from rewards: a right answer *is* the token.  After a wrong one the last
token is out of sight: in ``probe`` mode they peek, in ``bandit`` mode they go on from their own answer.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from tropism.envs.core.baselines import Baseline
from tropism.envs.patternworld.observation import Seen, read
from tropism.envs.patternworld.observer import evidence
from tropism.envs.patternworld.observer_hop import ASKED, listed
from tropism.envs.patternworld.observer_law import FloatArray, IndexArray
from tropism.envs.patternworld.params import SYMBOLS, Params

SMOOTHING = 0.05
"""Probability that a player without a distribution of its own spreads over all actions."""
DRIFT = 0.25
"""CUSUM: error rate that is taken for normal."""
THRESHOLD = 1.0
"""CUSUM: accumulated excess of errors that forgets the table; two errors in a row exceed it."""


class TokenPlayer(Baseline):
    """Follows the tokens of every lane as far as they can be seen.

    Attributes:
        token, previous: the last two tokens, or the player's own answers in place of masked ones, ``[B]``.
        in_sight: whether ``token`` is the true one, ``bool[B]``.
    """

    def __init__(self, params: Params, num_lanes: int) -> None:
        super().__init__(num_lanes)
        self.params = params
        self.token = np.zeros(num_lanes, np.intp)
        self.previous = np.zeros(num_lanes, np.intp)
        self.in_sight = np.ones(num_lanes, bool)
        self._history = np.zeros((num_lanes, params.history), np.int64)
        self._fresh = np.ones(num_lanes, bool)
        self._lanes = np.arange(num_lanes)

    def reset(self, mask: npt.NDArray[np.bool_], seeds: npt.NDArray[np.uint64]) -> None:  # noqa: ARG002  nothing is random
        """Begin an episode in the lanes of ``mask``."""
        self._fresh |= mask

    def act(
        self,
        observation: Any,
        info: Mapping[str, Any],  # noqa: ARG002  labels are for the oracle
    ) -> tuple[IndexArray, FloatArray]:
        """Answers ``[B]`` and the logarithm of their smoothed one-hot distribution ``[B, n]``."""
        seen = read(observation)
        if self._fresh.any():
            self._begin(self._fresh, seen)
            self._fresh = np.zeros(self.num_lanes, bool)
        action = self._answer(seen)
        if self.params.feedback == "probe":
            action = np.where(self.in_sight, action, self.params.vocabulary)
        return action, smoothed(action, self.params.num_actions)

    def _begin(self, mask: npt.NDArray[np.bool_], seen: Seen) -> None:
        self.token = np.where(mask, seen.history[:, -1], self.token)
        before = seen.history[:, -2] if self.params.history > 1 else self.token
        before = np.where(before < self.params.vocabulary, before, self.token)
        self.previous = np.where(mask, before, self.previous)
        self.in_sight = self.in_sight | mask
        self._history = np.where(mask[:, None], seen.history, self._history)

    def observe(
        self,
        action: npt.NDArray[Any],
        observation: Any,
        reward: npt.NDArray[np.float64],
        terminated: npt.NDArray[np.bool_],  # noqa: ARG002  a new episode announces itself by reset
        truncated: npt.NDArray[np.bool_],  # noqa: ARG002  the same
        info: Mapping[str, Any],  # noqa: ARG002  labels are for the oracle
    ) -> None:
        """Learn the outcome of ``action``."""
        seen = read(observation)
        shown = self._shown(seen.history)
        target, wrong = evidence(self.params, action, shown, reward)
        self._learn(action, target, wrong)
        self._move(action, target, seen.history)
        self._history = seen.history

    def _shown(self, history: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The token shown after the last answer; on Hop a question, and perhaps a listing, stand behind it."""
        if self.params.family != "hop":
            return history[:, -1]
        before_listing = (
            history[:, -ASKED - SYMBOLS]
            if self.params.history >= ASKED + SYMBOLS
            else self.params.vocabulary
        )
        return np.where(listed(self._history, history), before_listing, history[:, -ASKED])

    def _move(self, action: IndexArray, target: IndexArray, history: npt.NDArray[np.int64]) -> None:
        """Make the answer, or the next question of Hop, the last token."""
        self.previous = self.token
        if self.params.family == "hop":
            self.token = np.minimum(history[:, -1], SYMBOLS - 1)
            return
        own = np.minimum(action, self.params.vocabulary - 1)
        if self.params.feedback == "closed":
            self.token = own
            return
        self.token = np.where(target < 0, own, target)
        self.in_sight = target >= 0

    @abstractmethod
    def _answer(self, seen: Seen) -> IndexArray:
        """The token to answer with, ``[B]``."""

    def _learn(self, action: IndexArray, target: IndexArray, wrong: IndexArray) -> None:
        """Take note of the target, or of a token that it is not (-1 where unknown, each ``[B]``)."""


class LastDifference(TokenPlayer):
    """Adds the last difference once more: right where the rule is ``x + b``."""

    def _answer(self, seen: Seen) -> IndexArray:  # noqa: ARG002  the last two tokens are all it uses
        return (2 * self.token - self.previous) % self.params.vocabulary


class SuccessorTable(TokenPlayer):
    """Answers with what last followed the same token (on Hop: the same token and query); at first ``x + 1``.

    An answer known only to be wrong is replaced by the next token in order, so that a masked successor is
    searched for; in ``probe`` mode it is looked up by a peek instead.
    """

    UNKNOWN = -1

    def __init__(self, params: Params, num_lanes: int) -> None:
        super().__init__(params, num_lanes)
        self._default = (np.arange(params.vocabulary) + 1) % params.vocabulary
        queries = SYMBOLS + 1 if params.family == "hop" else 1
        self._table = np.tile(self._default, (num_lanes, queries, 1))
        self._at = self._lanes, np.zeros(num_lanes, np.intp), self.token

    def _begin(self, mask: npt.NDArray[np.bool_], seen: Seen) -> None:
        super()._begin(mask, seen)
        self._table[mask] = self._default

    def _answer(self, seen: Seen) -> IndexArray:
        query = seen.query_k if self.params.family == "hop" else np.zeros_like(self.token)
        self._at = self._lanes, query, self.token
        answer = self._table[self._at]
        return np.where(answer == self.UNKNOWN, self.params.vocabulary, answer)

    def _learn(
        self,
        action: IndexArray,  # noqa: ARG002  target and wrong tell all
        target: IndexArray,
        wrong: IndexArray,
    ) -> None:
        entry = self._table[self._at]
        other = (
            self.UNKNOWN if self.params.feedback == "probe" else (entry + 1) % len(self._default)
        )
        entry = np.where(entry == wrong, other, entry)
        entry = np.where(target >= 0, target, entry)
        self._table[self._at] = np.where(self.in_sight, entry, self._table[self._at])


class CusumTable(SuccessorTable):
    """A successor table that forgets an old regime when errors of entries it had learned pile up.

    One-sided CUSUM (E. S. Page, "Continuous Inspection Schemes", Biometrika 41, 1954):
    ``g = max(0, g + error - DRIFT)`` over answers whose entry was learned.  At ``g > THRESHOLD`` the change is
    dated to the answer at which ``g`` last left zero, and entries older than that return to ``x + 1``.
    """

    def __init__(self, params: Params, num_lanes: int) -> None:
        super().__init__(params, num_lanes)
        self._learned_at = np.full(self._table.shape, self.UNKNOWN)
        self._excess = np.zeros(num_lanes)
        self._change = np.zeros(num_lanes, np.intp)
        self._t = np.zeros(num_lanes, np.intp)

    def _begin(self, mask: npt.NDArray[np.bool_], seen: Seen) -> None:
        super()._begin(mask, seen)
        self._learned_at[mask] = self.UNKNOWN
        self._excess[mask] = 0.0
        self._t[mask] = 0

    def _learn(self, action: IndexArray, target: IndexArray, wrong: IndexArray) -> None:
        entry = self._table[self._at]
        known = (self._learned_at[self._at] != self.UNKNOWN) & self.in_sight
        self._watch(known, np.where(target >= 0, entry != target, entry == wrong))
        super()._learn(action, target, wrong)
        learned = self.in_sight & (target >= 0)
        self._learned_at[self._at] = np.where(learned, self._t, self._learned_at[self._at])
        self._t += 1

    def _watch(self, judged: npt.NDArray[np.bool_], error: npt.NDArray[np.bool_]) -> None:
        """Accumulate errors of learned entries; forget what predates the change where there are too many."""
        self._change = np.where(self._excess > 0, self._change, self._t)
        raised = np.maximum(self._excess + error - DRIFT, 0.0)
        self._excess = np.where(judged, raised, self._excess)
        alarm = self._excess > THRESHOLD
        stale = alarm[:, None, None] & (self._learned_at < self._change[:, None, None])
        self._table = np.where(stale, self._default, self._table)
        self._learned_at[stale] = self.UNKNOWN
        self._excess[alarm] = 0.0


def smoothed(action: IndexArray, n: int) -> FloatArray:
    """Logarithm of the one-hot distribution of ``action`` mixed with ``SMOOTHING`` of uniform, ``[B, n]``."""
    chances = np.full((len(action), n), SMOOTHING / n)
    chances[np.arange(len(action)), action] += 1.0 - SMOOTHING
    return np.log(chances)
