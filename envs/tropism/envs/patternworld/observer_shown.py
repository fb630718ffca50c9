"""The ideal observer where the last token is in sight: ``reveal`` and ``closed`` feedback."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from tropism.envs.patternworld.observation import Seen
from tropism.envs.patternworld.observer import Observer, evidence, information_gain
from tropism.envs.patternworld.observer_law import FloatArray, IndexArray, Law, arrangements, prior
from tropism.envs.patternworld.params import Params
from tropism.envs.patternworld.rules import library


class Belief(Protocol):
    """Probabilities of the hypotheses of every lane."""

    def reset(self, mask: npt.NDArray[np.bool_]) -> None:
        """Return the lanes of ``mask`` to the prior."""

    def rules(self) -> FloatArray:
        """Probability of each rule, ``float64[B, R]``."""
        ...

    def condition(self, likelihood: FloatArray) -> FloatArray:
        """Weigh by the likelihood of each rule ``[B, R]``; return the probability of the evidence ``[B]``."""
        ...

    def advance(self, t: IndexArray, token: IndexArray) -> None:
        """Move on to the next answer."""


class RuleBelief:
    """One arrangement (every rule of the library is in use): all lanes in one array ``[B, ages, R, 1]``."""

    def __init__(self, params: Params, num_lanes: int) -> None:
        self._law, self._prior = Law(params), prior(params)
        self._weights = np.zeros((num_lanes, self._law.ages, *self._prior.shape))
        self.reset(np.ones(num_lanes, bool))

    def reset(self, mask: npt.NDArray[np.bool_]) -> None:
        """Return the lanes of ``mask`` to the prior."""
        self._weights[mask] = 0.0
        self._weights[mask, 0] = self._prior

    def rules(self) -> FloatArray:
        """Probability of each rule, ``float64[B, R]``."""
        return self._weights.sum(axis=1)[..., 0]

    def condition(self, likelihood: FloatArray) -> FloatArray:
        """Weigh by the likelihood of each rule ``[B, R]``; return the probability of the evidence ``[B]``."""
        weighed = self._weights * likelihood[:, None, :, None]
        total = weighed.sum(axis=(1, 2, 3))
        possible = total > 0
        scale = np.where(possible, total, 1.0)[:, None, None, None]
        self._weights = np.where(possible[:, None, None, None], weighed / scale, self._weights)
        return total

    def advance(self, t: IndexArray, token: IndexArray) -> None:
        """Move on to the next answer."""
        self._weights = self._law.advance(self._weights, t, token)


class ArrangementBelief:
    """Many arrangements (a few rules of the library are in use): each lane keeps those still possible.

    Without noise one shown token rules out most arrangements, and after one visit to each rule one is left.
    """

    def __init__(self, params: Params, num_lanes: int) -> None:
        self._law, self._slots, self._prior = Law(params), arrangements(params), prior(params)
        self._num_rules = library(params).num_rules
        self._kept = [self._slots] * num_lanes
        self._weights: list[FloatArray] = [np.zeros(0)] * num_lanes
        self.reset(np.ones(num_lanes, bool))

    def reset(self, mask: npt.NDArray[np.bool_]) -> None:
        """Return the lanes of ``mask`` to the prior."""
        for lane in np.flatnonzero(mask):
            self._kept[lane] = self._slots
            weights: FloatArray = np.zeros((1, self._law.ages, *self._prior.shape))
            weights[0, 0] = self._prior
            self._weights[lane] = weights

    def rules(self) -> FloatArray:
        """Probability of each rule, ``float64[B, R]``."""
        rules = np.empty((len(self._kept), self._num_rules))
        for lane, (kept, weights) in enumerate(zip(self._kept, self._weights, strict=True)):
            weight = weights.sum(axis=(0, 1)).ravel()
            rules[lane] = np.bincount(kept.ravel(), weight, self._num_rules)
        return rules

    def condition(self, likelihood: FloatArray) -> FloatArray:
        """Weigh by the likelihood of each rule ``[B, R]``; return the probability of the evidence ``[B]``."""
        totals = np.empty(len(self._kept))
        for lane, (kept, weights) in enumerate(zip(self._kept, self._weights, strict=True)):
            weighed = weights * likelihood[lane][kept]
            totals[lane] = total = weighed.sum()
            if total > 0:
                alive = weighed.any(axis=(0, 1, 2))
                self._kept[lane] = kept if alive.all() else kept[:, alive]
                self._weights[lane] = (weighed if alive.all() else weighed[..., alive]) / total
        return totals

    def advance(self, t: IndexArray, token: IndexArray) -> None:
        """Move on to the next answer."""
        for lane, weights in enumerate(self._weights):
            self._weights[lane] = self._law.advance(weights, t[lane : lane + 1], token)


class ShownObserver(Observer):
    """Knows the last token, weighs the rules."""

    def __init__(self, params: Params, num_lanes: int) -> None:
        super().__init__(params, num_lanes)
        rules = library(params)
        self._context = rules.context
        self._answers = np.ascontiguousarray(rules.table.transpose(1, 2, 0)).astype(np.intp)
        kind = ArrangementBelief if params.active_rules else RuleBelief
        self._belief: Belief = kind(params, num_lanes)
        self._token = np.zeros(num_lanes, np.intp)
        self._previous = np.zeros(num_lanes, np.intp)
        # Marginals over rules: for the next answer, and for the last one before and after it was judged.
        self._rules = self._before = self._after = self._belief.rules()

    def _begin(self, mask: npt.NDArray[np.bool_], seen: Seen) -> None:
        self._belief.reset(mask)
        self._token[mask] = seen.history[mask, -1]
        if self._context == "previous":
            self._previous[mask] = seen.history[mask, -2]
        self._rules = self._belief.rules()
        self._before = np.where(mask[:, None], self._rules, self._before)
        self._after = np.where(mask[:, None], self._rules, self._after)

    def _learn(self, action: IndexArray, seen: Seen, reward: npt.NDArray[Any]) -> None:
        noise, v = self.params.noise, self.params.vocabulary
        target, wrong = evidence(self.params, action, seen.history[:, -1], reward)
        candidate = np.where(target < 0, wrong, target)[:, None]
        # One answer behind: ``t`` already counts the answer that is being judged here.
        said = self._clean(self.t - 1)
        likelihood = (1.0 - noise) * (said == candidate) + noise / v
        likelihood = np.where(target[:, None] < 0, 1.0 - likelihood, likelihood)
        self._before = self._rules
        total = self._belief.condition(likelihood)
        self._after = self._belief.rules()
        with np.errstate(divide="ignore"):
            self.surprise = -np.log(np.minimum(total, 1.0))
        self._previous = self._token
        # A masked token cannot come up here; a lane that has ended may hold one.
        self._token = np.minimum(seen.history[:, -1], v - 1)
        self._belief.advance(self.t, self._token)
        self._rules = self._belief.rules()

    def _clean(self, t: IndexArray) -> IndexArray:
        """What each rule says at step ``t``, noise aside, ``[B, R]``."""
        context = {"none": 0, "phase": t & 1, "previous": self._previous}[self._context]
        return self._answers[context, self._token]

    def predict(self) -> FloatArray:
        """Probability of each token to be the next target, ``float64[B, V]``."""
        v, lanes = self.params.vocabulary, np.arange(self.num_lanes)[:, None]
        cells = (lanes * v + self._clean(self.t)).ravel()
        chances = np.bincount(cells, self._rules.ravel(), self.num_lanes * v)
        chances = chances.astype(np.float64).reshape(self.num_lanes, v)
        noise = self.params.noise
        return (1.0 - noise) * chances + noise / v

    def most_probable(self) -> IndexArray:
        """What the single most probable rule answers, ``[B]``."""
        best = self._rules.argmax(axis=1)
        return self._clean(self.t)[np.arange(self.num_lanes), best]

    def rule_belief(self) -> FloatArray:
        """Probability of each rule to judge the next answer, ``float64[B, R]``."""
        return self._rules.copy()

    @property
    def belief_kl(self) -> FloatArray:
        """Bayesian surprise of the last update in nats, ``float64[B]``."""
        return information_gain(self._after, self._before)
