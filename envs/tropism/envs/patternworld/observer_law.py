"""The hidden part of PatternWorld as a Markov chain: which rules may be in use, and how they follow one another.

A hypothesis is a pair (slot, arrangement): ``slots[s, n]`` is the rule in use if the rules of the episode are
arrangement ``n`` and the current one is in slot ``s``.  Where the whole library is in use there is one
arrangement and slots are rules; where an episode draws a few (Recur) an arrangement is a set of rules, or a
cyclic order of them.  Which slot comes first is uniform, so the order within a set carries no information.
"""

from __future__ import annotations

import functools
from itertools import combinations, permutations
from math import comb, factorial

import numpy as np
import numpy.typing as npt

from tropism.envs.patternworld.params import Params
from tropism.envs.patternworld.rules import Library, library

FloatArray = npt.NDArray[np.float64]
IndexArray = npt.NDArray[np.intp]


def count_arrangements(params: Params) -> int:
    """How many arrangements :func:`arrangements` would list."""
    if not params.active_rules:
        return 1
    sets = comb(library(params).num_rules, params.active_rules)
    return sets * (factorial(params.active_rules - 1) if params.schedule == "cyclic" else 1)


@functools.lru_cache(maxsize=16)
def arrangements(params: Params) -> IndexArray:
    """Rule of each hypothesis, ``intp[slots, arrangements]``; all hypotheses are equally likely at first.

    The one exception is ``cyclic`` over the whole library, which begins with rule 0.
    """
    rules = library(params).num_rules
    if not params.active_rules:
        return np.arange(rules)[:, None]
    chosen = combinations(range(rules), params.active_rules)
    if params.schedule == "cyclic":
        listed = [(first, *rest) for first, *others in chosen for rest in permutations(others)]
    else:
        listed = list(chosen)
    return np.ascontiguousarray(np.array(listed, np.intp).T)


def prior(params: Params) -> FloatArray:
    """Probability of each hypothesis at the start of an episode, ``float64[slots, arrangements]``."""
    slots = arrangements(params)
    if params.schedule == "cyclic" and not params.active_rules:
        return (slots == 0).astype(np.float64)
    return np.full(slots.shape, 1.0 / slots.size)


def num_ages(params: Params) -> int:
    """Ages of a rule that a belief must tell apart: none where a known hazard of 1 makes the age known."""
    floor, hazard = params.dwell
    return 1 if hazard == 1.0 else floor + 1


class Law:
    """How a belief moves from one answer to the next.

    Beliefs are arrays ``[lanes, ages, slots, ...]``; what follows the slots is carried along.  A rule's age is
    the number of answers it has judged, capped at the schedule's floor, from where on a switch comes with
    probability ``hazard``.  With hazard 1 the age is the step modulo the period, known, and needs no axis.

    Args:
        params: the task.
    """

    def __init__(self, params: Params) -> None:
        self._floor, self._hazard = params.dwell
        self.ages = num_ages(params)
        self._cyclic = params.schedule == "cyclic"
        rules = library(params)
        alias = rules.successors is not None and not params.active_rules and not self._cyclic
        self._kernel = _successor_kernel(rules) if alias else None

    def advance(self, belief: FloatArray, t: IndexArray, token: IndexArray | None) -> FloatArray:
        """Belief about the regime of the next answer.

        Args:
            belief: ``[B, ages, slots, ...]``, conditioned on every answer so far; is not kept.
            t: answers so far, ``[B]``, at least 1.
            token: the last token, ``[B]``; ``None`` where the belief's last axis runs over it.
        """
        last = belief[:, -1]
        if self._hazard == 1.0:
            due = (t % (self._floor + 1) == 0).reshape(-1, *[1] * (last.ndim - 1))
            return np.where(due, self._switch(last, token), last)[:, None]
        switched = self._hazard * self._switch(last, token)
        if self.ages == 1:
            return (switched + (1.0 - self._hazard) * last)[:, None]
        older = np.concatenate([switched[:, None], belief[:, :-1]], axis=1)
        older[:, -1] += (1.0 - self._hazard) * last
        return older

    def _switch(self, belief: FloatArray, token: IndexArray | None) -> FloatArray:
        """``sum_r T(r' | r) belief(r)`` over axis 1."""
        if self._kernel is not None:
            if token is not None:
                return np.einsum("br,brs->bs", belief[:, :, 0], self._kernel[token])[:, :, None]
            return np.einsum("brnpv,vrs->bsnpv", belief, self._kernel)
        if self._cyclic:
            return np.roll(belief, 1, axis=1)
        others = belief.sum(axis=1, keepdims=True) - belief
        # Rounding can leave a difference of equal numbers just below zero.
        return np.maximum(others, 0.0) / (belief.shape[1] - 1)


def _successor_kernel(rules: Library) -> FloatArray:
    """``T(r' | r)`` at each token, ``float64[V, R, R]``: uniform over the rules that may follow (Alias)."""
    assert rules.successors is not None
    assert rules.num_successors is not None
    count, tokens, width = rules.successors.shape
    kernel = np.zeros((tokens, count, count))
    real = np.arange(width) < rules.num_successors[..., None]
    rule, token, column = np.nonzero(real)
    kernel[token, rule, rules.successors[rule, token, column]] = (
        1.0 / rules.num_successors[rule, token]
    )
    return kernel
