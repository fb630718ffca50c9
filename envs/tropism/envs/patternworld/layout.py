"""Whole episodes of PatternWorld laid out ahead.

Unless the agent's own answers become tokens (``closed``), the sequence does not depend on the actions, so an
episode can be computed when it begins: switches and rules for all steps at once, tokens by one table look-up
a step.  That makes a vector step a matter of reading one row.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tropism.envs.core.random import Hash
from tropism.envs.patternworld.kernel import Kernel, State
from tropism.envs.patternworld.params import Params
from tropism.envs.patternworld.rules import DWELL, NOISE, NOISE_TOKEN, RULE, dwell_thresholds, library

IntArray = npt.NDArray[np.int32]
_FEW = 24
"""Up to this many lanes, plain Python lists follow the rules faster than array calls."""


class Layout(NamedTuple):
    """Episodes of ``n`` lanes over ``T + 1`` rows, row ``t`` being the state before answer ``t``."""

    rule: IntArray  # [T + 1, n]
    switched: npt.NDArray[np.bool_]  # [T + 1, n]
    since: IntArray  # [T + 1, n]
    token: IntArray  # [T + 2, n]; row t + 1 is the target of row t
    stale_target: IntArray  # [T + 1, n]
    previous: IntArray  # [n], the token before the first one


def can_lay_out(params: Params) -> bool:
    """Whether episodes of ``params`` are finite and independent of actions and of one another's tokens."""
    return (
        params.feedback != "closed" and params.family not in ("alias", "hop") and params.max_episode_steps is not None
    )


class Planner:
    """Lays out episodes of one task."""

    def __init__(self, params: Params) -> None:
        assert params.max_episode_steps is not None  # see can_lay_out
        self.params, self.steps = params, params.max_episode_steps
        self._hash, self._kernel = Hash(np), Kernel(np, params)
        rules = library(params)
        self._flat = rules.table.reshape(-1)
        self._contexts, self._vocabulary = rules.table.shape[1:]
        self._context, self._num_rules = rules.context, rules.num_rules
        self._thresholds = dwell_thresholds(params)

    def lay_out(self, key: Any, episode: Any, overrides: Mapping[str, Any]) -> Layout:
        """Episodes ``episode`` (int32[n]) of the lanes ``key`` (uint32[n, 2])."""
        start = self._kernel.reset(key, episode, overrides)
        switched, regime, rules = self._regimes(start)
        lanes = np.arange(len(episode), dtype=np.int32)
        index = regime * np.int32(len(episode)) + lanes
        rule = rules.reshape(-1).take(index)
        stale = np.where(regime > 0, rules.reshape(-1).take(np.maximum(index - len(episode), 0)), -1)
        now = np.arange(self.steps + 1, dtype=np.int32)[:, None]
        since = now - np.maximum.accumulate(np.where(switched, now, 0), axis=0)
        token = self._tokens(start, rule)
        stale_target = np.where(stale < 0, -1, self._answers(stale, token, start.previous))
        return Layout(rule, switched, since.astype(np.int32), token, stale_target.astype(np.int32), start.previous)

    # -- regimes --------------------------------------------------------------------------------------------

    def _regimes(self, start: State) -> tuple[npt.NDArray[np.bool_], IntArray, IntArray]:
        """Switch flags and regime numbers [T + 1, n], and the rule of each regime [J, n]."""
        ends, words = self._draw_regimes(start)
        count, n = ends.shape
        switched = np.zeros((self.steps + 1, n), np.bool_)
        inside = ends <= self.steps
        switched[ends[inside], np.nonzero(inside)[1]] = True
        regime = np.cumsum(switched, axis=0, dtype=np.int32)
        return switched, regime, self._rules(start, words, count)

    def _draw_regimes(self, start: State) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint32]]:
        floor, hazard = self.params.dwell
        count = 16 + int(1.5 * self.steps / (floor + 1 / hazard))
        while True:
            regime = np.arange(count, dtype=np.int32)[:, None]
            word = self._hash.bits(start.draw, regime, DWELL)
            above = len(self._thresholds) - np.searchsorted(self._thresholds, word, side="right")
            dwell = floor + 1 + above
            dwell[0] = start.next_switch  # the first one may have been fixed by a reset option
            ends = np.cumsum(dwell, axis=0)
            if ends[-1].min() > self.steps:
                return ends, self._hash.bits(start.draw, regime, RULE)
            count *= 2

    def _rules(self, start: State, words: Any, count: int) -> IntArray:
        """The rule of each regime, ``int32[count, n]``, from the words that choose it."""
        n = self.params.active_rules or self._num_rules
        shift = np.ones(words.shape, np.int32)
        if self.params.schedule != "cyclic":
            shift += self._hash.below(words, n - 1)
        shift[0] = 0 if self.params.active_rules else start.rule
        place = np.cumsum(shift, axis=0, dtype=np.int64) % n
        if self.params.active_rules:
            place = np.take_along_axis(start.active.T, place, 0)
        return place[:count].astype(np.int32)

    # -- tokens ---------------------------------------------------------------------------------------------

    def _tokens(self, start: State, rule: IntArray) -> IntArray:
        base = rule.astype(np.int64) * (self._contexts * self._vocabulary)
        if self._context == "phase":
            base[1::2] += self._vocabulary
        noise = self._noise(start) if self.params.noise else None
        if rule.shape[1] <= _FEW:
            return self._tokens_of_few(start, base, noise)
        token = np.empty((self.steps + 2, rule.shape[1]), np.int32)
        token[0] = start.token
        previous, index = start.previous, np.empty(rule.shape[1], np.int64)
        for t in range(self.steps + 1):
            np.add(base[t], token[t], out=index)
            if self._context == "previous":
                index += previous * np.int64(self._vocabulary)
                previous = token[t]
            self._flat.take(index, out=token[t + 1], mode="clip")
            if noise is not None:
                np.copyto(token[t + 1], noise[t], where=noise[t] >= 0)
        return token

    def _tokens_of_few(self, start: State, base: Any, noise: IntArray | None) -> IntArray:
        lanes = [
            self._lane_tokens(
                int(start.token[lane]),
                int(start.previous[lane]),
                base[:, lane].tolist(),
                None if noise is None else noise[:, lane].tolist(),
            )
            for lane in range(base.shape[1])
        ]
        return np.ascontiguousarray(np.array(lanes, np.int32).T)

    def _lane_tokens(self, token: int, previous: int, base: list[int], noise: list[int] | None) -> list[int]:
        flat, tokens = self._flat_list, [token]
        second_order, width = self._context == "previous", self._vocabulary
        for t, offset in enumerate(base):
            context = previous * width if second_order else 0
            previous = token
            token = flat[offset + context + token]
            if noise is not None and noise[t] >= 0:
                token = noise[t]
            tokens.append(token)
        return tokens

    @property
    def _flat_list(self) -> list[int]:
        if not hasattr(self, "_listed"):
            self._listed: list[int] = self._flat.tolist()
        return self._listed

    def _noise(self, start: State) -> IntArray:
        """The uniform token that replaces the answer at each step, or -1, ``int32[T + 1, n]``."""
        t = np.arange(self.steps + 1, dtype=np.int32)[:, None]
        noisy = self._hash.bits(start.draw, t, NOISE) < np.uint32(int(self.params.noise * 2**32))
        drawn = self._hash.below(self._hash.bits(start.draw, t, NOISE_TOKEN), self._vocabulary)
        return np.where(noisy, drawn, -1)

    def _answers(self, rule: IntArray, token: IntArray, first_previous: IntArray) -> IntArray:
        """What ``rule`` [T + 1, n] answers at each row of ``token``."""
        index = np.maximum(rule, 0) * np.int32(self._contexts * self._vocabulary) + token[:-1]
        if self._context == "phase":
            index[1::2] += self._vocabulary
        if self._context == "previous":
            index[0] += first_previous * self._vocabulary
            index[1:] += token[:-2] * self._vocabulary
        return self._flat.take(index)
