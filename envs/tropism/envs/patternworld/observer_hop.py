"""The ideal observer of the Hop tier: it remembers the permutation it was shown, and applies it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tropism.envs.patternworld.observation import Seen
from tropism.envs.patternworld.observer import Observer
from tropism.envs.patternworld.observer_law import FloatArray, IndexArray
from tropism.envs.patternworld.params import SYMBOLS, Params
from tropism.envs.patternworld.permutations import array_hop, array_rank

ASKED = 2
"""Tokens a step adds to the history: the answer's place and the next symbol; a listing stands between them."""


def listed(old: npt.NDArray[np.int64], new: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Whether the history grew by a listing, ``bool[B]``: if not, it moved on by two tokens.

    A short history can fit both readings; the plain one is then taken.  Its rival needs the very permutation
    that fits, so it is less than ``hazard / (8! (1 - hazard))`` times as likely.
    """
    return (new[:, :-ASKED] != old[:, ASKED:]).any(axis=1)


class HopObserver(Observer):
    """Knows the permutation for certain: a listing follows every switch, in every feedback mode."""

    def __init__(self, params: Params, num_lanes: int) -> None:
        super().__init__(params, num_lanes)
        self._floor, self._hazard = params.dwell
        self._permutation = np.tile(np.arange(SYMBOLS), (num_lanes, 1))
        self._since = np.zeros(num_lanes, np.intp)
        self._history = np.zeros((num_lanes, params.history), np.int64)
        self._query = np.ones(num_lanes, np.int64)

    def _begin(self, mask: npt.NDArray[np.bool_], seen: Seen) -> None:
        self._history = np.where(mask[:, None], seen.history, self._history)
        self._query = np.where(mask, seen.query_k, self._query)
        self._permutation[mask] = seen.history[mask, -SYMBOLS - 1 : -1]
        self._since[mask] = 0

    def _learn(self, action: IndexArray, seen: Seen, reward: npt.NDArray[Any]) -> None:  # noqa: ARG002  the listing tells all
        switched = listed(self._history, seen.history)
        listing = seen.history[:, -SYMBOLS - 1 : -1]
        hazard = np.where(self._since + 1 > self._floor, self._hazard, 0.0)
        chance = np.where(switched, hazard * self._share(listing), 1.0 - hazard)
        with np.errstate(divide="ignore"):
            self.surprise = -np.log(chance)
        self._permutation = np.where(switched[:, None], listing, self._permutation)
        self._since = np.where(switched, 0, self._since + 1)
        self._history, self._query = seen.history, seen.query_k

    def _share(self, listing: npt.NDArray[np.int64]) -> FloatArray:
        """Probability of a new permutation: uniform, but a repeat has its first two symbols swapped."""
        swapped = self._permutation.copy()
        swapped[:, [0, 1]] = swapped[:, [1, 0]]
        twice = (listing == swapped).all(axis=1)
        return np.where(twice, 2.0, 1.0) / self.num_rules

    def predict(self) -> FloatArray:
        """Probability of each symbol to be the next target, ``float64[B, 8]``: all on one."""
        return (np.arange(SYMBOLS) == self.most_probable()[:, None]).astype(np.float64)

    def most_probable(self) -> IndexArray:
        """The permutation applied ``query_k`` times to the last symbol, ``[B]``."""
        symbol = np.minimum(self._history[:, -1], SYMBOLS - 1)
        return array_hop(np, self._permutation, symbol, self._query)

    def rule_belief(self) -> FloatArray:
        """Probability of each permutation by its rank, ``float64[B, 8!]``: all on one."""
        belief = np.zeros((self.num_lanes, self.num_rules))
        belief[np.arange(self.num_lanes), array_rank(np, self._permutation)] = 1.0
        return belief

    @property
    def belief_kl(self) -> FloatArray:
        """Information in whether a listing came, and which: equal to ``surprise``, since it tells all."""
        return self.surprise
