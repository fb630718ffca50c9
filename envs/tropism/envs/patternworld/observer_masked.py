"""The ideal observer where the last token may be masked: ``bandit`` and ``probe`` feedback.

The belief is joint over age, hypothesis and the last tokens: ``float64[B, ages, slots, arrangements, P, V]``,
where ``P`` is ``V`` for second-order rules (the token before the last) and 1 otherwise.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tropism.envs.patternworld.observation import Seen
from tropism.envs.patternworld.observer import Observer, evidence, information_gain
from tropism.envs.patternworld.observer_law import FloatArray, IndexArray, Law, arrangements, prior
from tropism.envs.patternworld.params import Params
from tropism.envs.patternworld.rules import library


class MaskedObserver(Observer):
    """Weighs rules and the tokens that may have come."""

    def __init__(self, params: Params, num_lanes: int) -> None:
        super().__init__(params, num_lanes)
        rules, self._slots = library(params), arrangements(params)
        self._law, self._prior = Law(params), prior(params)
        self._second_order = rules.context == "previous"
        self._phased = rules.context == "phase"
        v = params.vocabulary
        self._next = _next_states(rules.table, self._second_order)[:, self._slots]
        self._sources = [_sources(following) for following in self._next]
        self._shape = (self._law.ages, *self._slots.shape, v if self._second_order else 1, v)
        self._belief = np.zeros((num_lanes, *self._shape))
        self._ahead: FloatArray | None = None
        self._before = self._after = np.zeros((num_lanes, self.num_rules))

    def _begin(self, mask: npt.NDArray[np.bool_], seen: Seen) -> None:
        lanes = np.flatnonzero(mask)
        previous = seen.history[lanes, -2] if self._second_order else 0
        self._belief[lanes] = 0.0
        self._belief[lanes, 0, :, :, previous, seen.history[lanes, -1]] = self._prior
        self._ahead = None
        fresh = self._by_rule(self._belief)
        self._before = np.where(mask[:, None], fresh, self._before)
        self._after = np.where(mask[:, None], fresh, self._after)

    def _learn(self, action: IndexArray, seen: Seen, reward: npt.NDArray[Any]) -> None:
        ahead = self._look_ahead(self.t - 1)
        target, wrong = evidence(self.params, action, seen.history[:, -1], reward)
        tokens = np.arange(self.params.vocabulary)
        known = target[:, None] >= 0
        allowed = np.where(known, tokens == target[:, None], tokens != wrong[:, None])
        weighed = ahead * allowed[:, None, None, None, None, :]
        total = weighed.reshape(self.num_lanes, -1).sum(axis=1)
        impossible = total == 0
        weighed[impossible] = ahead[impossible]
        weighed /= np.where(impossible, 1.0, total).reshape(-1, 1, 1, 1, 1, 1)
        self._before, self._after = self._by_rule(ahead), self._by_rule(weighed)
        with np.errstate(divide="ignore"):
            self.surprise = -np.log(np.minimum(total, 1.0))
        self._belief = self._law.advance(weighed, self.t, None)
        self._ahead = None

    def _look_ahead(self, t: IndexArray) -> FloatArray:
        """The joint belief with the next target as last token, ``[B, ages, slots, arrangements, P, V]``."""
        ahead = self._ahead
        if ahead is None:
            ahead, noise = self._follow(t), self.params.noise
            if noise:
                forgotten = self._belief.sum(axis=-2 if self._second_order else -1)[..., None]
                ahead = (1.0 - noise) * ahead + noise / self.params.vocabulary * forgotten
            self._ahead = ahead
        return ahead

    def _follow(self, t: IndexArray) -> FloatArray:
        """Move every hypothesis by its own rule, noise aside."""
        flat = self._belief.reshape(self.num_lanes * self._law.ages, -1)
        if not self._phased:
            return _gather(flat, self._sources[0]).reshape(self._belief.shape)
        moved = [_gather(flat, sources).reshape(self._belief.shape) for sources in self._sources]
        odd = (t & 1 == 1).reshape(-1, 1, 1, 1, 1, 1)
        return np.where(odd, moved[1], moved[0])

    def predict(self) -> FloatArray:
        """Probability of each token to be the next target, ``float64[B, V]``."""
        ahead = self._look_ahead(self.t)
        return ahead.reshape(self.num_lanes, -1, self.params.vocabulary).sum(axis=1)

    def most_probable(self) -> IndexArray:
        """What the single most probable pair of rule and tokens answers, ``[B]``."""
        belief = self._belief.sum(axis=1).reshape(self.num_lanes, -1)
        following = self._next.reshape(self._next.shape[0], -1)
        phase = self.t & 1 if self._phased else 0
        return following[phase, belief.argmax(axis=1)] % self.params.vocabulary

    def rule_belief(self) -> FloatArray:
        """Probability of each rule to judge the next answer, ``float64[B, R]``."""
        return self._by_rule(self._belief)

    def _by_rule(self, belief: FloatArray) -> FloatArray:
        """Marginal over rules, ``[B, R]``."""
        weights = belief.reshape(*belief.shape[:-2], -1).sum(axis=-1).sum(axis=1)
        cells = np.arange(self.num_lanes)[:, None, None] * self.num_rules + self._slots
        size = self.num_lanes * self.num_rules
        by_rule = np.bincount(cells.ravel(), weights.ravel(), size).astype(np.float64)
        return by_rule.reshape(self.num_lanes, -1)

    @property
    def belief_kl(self) -> FloatArray:
        """Bayesian surprise of the last update in nats, ``float64[B]``."""
        return information_gain(self._after, self._before)


def _next_states(table: npt.NDArray[np.int32], second_order: bool) -> IndexArray:
    """State after a clean answer, ``intp[contexts, R, S]``.

    A state is the last token, or ``previous * V + token`` for second-order rules, which so need no context.
    """
    rules, _, v = table.shape
    if not second_order:
        return table.transpose(1, 0, 2).astype(np.intp)
    return (np.arange(v) * v + table).reshape(1, rules, v * v).astype(np.intp)


Sources = list[tuple[IndexArray, npt.NDArray[np.bool_]]]


def _sources(following: IndexArray) -> Sources:
    """Where each state's probability comes from: the inverse of ``following``, ``intp[slots, arrangements, S]``.

    An invertible rule has one source a state; a rule such as ``2 x`` modulo 100 has up to two.  Each element of
    the result is one source of every state: flat indices and whether they are real.
    """
    states = following.shape[-1]
    base = np.arange(following.size // states)[:, None] * states
    landing = (following.reshape(-1, states) + base).ravel()
    order = np.argsort(landing, kind="stable")
    landed = landing[order]
    nth = np.arange(landed.size) - np.searchsorted(landed, landed)
    result = []
    for n in range(nth.max() + 1):
        indices, real = np.zeros(landed.size, np.intp), np.zeros(landed.size, bool)
        indices[landed[nth == n]], real[landed[nth == n]] = order[nth == n], True
        result.append((indices, real))
    return result


def _gather(flat: FloatArray, sources: Sources) -> FloatArray:
    """Sum of the sources of each column of ``flat``."""
    first, real = sources[0]
    total = flat[:, first]
    if not real.all():
        total *= real
    for indices, real in sources[1:]:
        total += flat[:, indices] * real
    return total
