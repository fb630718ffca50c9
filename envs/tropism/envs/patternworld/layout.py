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
from tropism.envs.patternworld.kernel import Kernel
from tropism.envs.patternworld.kernel_regimes import State
from tropism.envs.patternworld.params import Params
from tropism.envs.patternworld.rules import (
    DWELL,
    NOISE,
    NOISE_TOKEN,
    RULE,
    dwell_thresholds,
    library,
)

IntArray = npt.NDArray[np.int32]
_FEW = 24
"""Up to this many lanes, plain Python lists follow the rules faster than array calls."""


class Layout(NamedTuple):
    """Episodes of ``n`` lanes over ``T + 1`` rows, row ``t`` being the state before answer ``t``."""

    switched: npt.NDArray[np.bool_]  # [T + 1, n]
    lines: (
        IntArray  # [T + 1, 3, n]: BASE and STALE_BASE, where the two rules' tables begin, and SINCE
    )
    place: IntArray  # [T + 1, n], index of context and token within a rule's table
    token: IntArray  # [T + 2, n]; row t + 1 is the target of row t
    previous: IntArray  # [n], the token before the first one

    @classmethod
    def empty(cls, steps: int, n: int) -> Layout:
        """Room for ``steps`` answers of ``n`` lanes."""
        return cls(
            np.zeros((steps + 1, n), np.bool_),
            np.zeros((steps + 1, 3, n), np.int32),
            np.zeros((steps + 1, n), np.int32),
            np.zeros((steps + 2, n), np.int32),
            np.zeros(n, np.int32),
        )


BASE, STALE_BASE, SINCE = range(3)
_LONGEST = 4096
"""Longest episode laid out ahead, steps: beyond it the room would outgrow the gain."""


def can_lay_out(params: Params) -> bool:
    """Whether episodes of ``params`` are short, and their switches independent of actions and tokens."""
    limit = params.max_episode_steps
    short = limit is not None and limit <= _LONGEST
    return short and params.feedback != "closed" and params.family not in ("alias", "hop")


class Planner:
    """Lays out episodes of one task."""

    def __init__(self, params: Params) -> None:
        assert params.max_episode_steps is not None  # see can_lay_out
        self.params, self.steps = params, params.max_episode_steps
        self._hash, self._kernel = Hash(np), Kernel(np, params)
        rules = library(params)
        self._contexts, self._vocabulary = rules.table.shape[1:]
        self._context, self._num_rules = rules.context, rules.num_rules
        self.width = self._contexts * self._vocabulary
        """Entries of one rule's table."""
        no_rule = np.full(self.width, -1, np.int32)
        self.flat = np.concatenate([rules.table.reshape(-1), no_rule])
        """All tables end to end, and a last one that answers -1 (the stale rule before any switch)."""
        self.no_base = self._num_rules * self.width
        """Where that last table begins."""
        self._listed: list[int] = self.flat.tolist()
        self._thresholds = dwell_thresholds(params)

    def lay_out(
        self, key: Any, episode: Any, overrides: Mapping[str, Any], room: Layout | None = None
    ) -> Layout:
        """Episodes ``episode`` (int32[n]) of the lanes ``key`` (uint32[n, 2]), written into ``room`` if given."""
        start = self._kernel.reset(key, episode, overrides)
        plan = room or Layout.empty(self.steps, len(episode))
        self._regimes(start, plan)
        noise = self._noise(start) if self.params.noise else None
        (self._follow_few if len(episode) <= _FEW else self._follow)(start, plan, noise)
        plan.previous[:] = start.previous
        return plan

    # -- regimes --------------------------------------------------------------------------------------------

    def _regimes(self, start: State, plan: Layout) -> None:
        """Switches and lines: the changes of a line are scattered to their rows, then summed up."""
        ends, words = self._draw_regimes(start)
        base = self._rules(start, words) * np.int32(self.width)
        stale = np.concatenate([np.full_like(base[:1], self.no_base), base[:-1]])
        inside, lanes = np.nonzero(ends <= self.steps)
        rows = ends[inside, lanes]
        plan.switched[:] = False
        plan.switched[rows, lanes] = True
        lines = plan.lines
        lines[:, :SINCE], lines[:, SINCE] = 0, 1
        lines[0] = base[0], stale[0], np.zeros_like(base[0])
        lines[rows, BASE, lanes] = np.diff(base, axis=0)[inside, lanes]
        lines[rows, STALE_BASE, lanes] = np.diff(stale, axis=0)[inside, lanes]
        lines[rows, SINCE, lanes] = 1 - np.diff(ends, axis=0, prepend=0)[inside, lanes]
        for t in range(
            1, self.steps + 1
        ):  # row by row: cumsum would run down columns, past the cache
            np.add(lines[t - 1], lines[t], out=lines[t])

    def _draw_regimes(self, start: State) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint32]]:
        floor, hazard = self.params.dwell
        count = 16 + int(1.25 * self.steps / (floor + 1 / hazard))
        while True:
            regime = np.arange(count, dtype=np.int32)[:, None]
            word = self._hash.bits(start.draw, regime, DWELL)
            above = len(self._thresholds) - np.searchsorted(self._thresholds, word, side="right")
            dwell = floor + 1 + above
            dwell[0] = start.next_switch  # the first one may have been fixed by a reset option
            ends = np.cumsum(dwell, axis=0)
            if ends[-2].min() > self.steps:
                return ends[:-1], self._hash.bits(start.draw, regime, RULE)
            count *= 2

    def _rules(self, start: State, words: Any) -> IntArray:
        """The rule of each regime, ``int32[J, n]``, from the words ``uint32[J, n]`` that choose it."""
        n = self.params.active_rules or self._num_rules
        shift = np.ones(words.shape, np.int32)
        if self.params.schedule != "cyclic":
            shift += self._hash.below(words, n - 1)
        shift[0] = 0 if self.params.active_rules else start.rule
        place = np.cumsum(shift, axis=0, dtype=np.int64) % n
        if self.params.active_rules:
            place = np.take_along_axis(start.active.T, place, 0)
        return place.astype(np.int32)

    # -- tokens ---------------------------------------------------------------------------------------------

    def _follow(self, start: State, plan: Layout, noise: IntArray | None) -> None:
        """Follow the rules from row to row, all lanes at once."""
        token, place, base = plan.token, plan.place, plan.lines[:, BASE]
        token[0], previous = start.token, start.previous
        index = np.empty(base.shape[1], np.int64)
        for t in range(self.steps + 1):
            if self._context == "previous":
                np.multiply(previous, self._vocabulary, out=place[t])
                place[t] += token[t]
                previous = token[t]
            else:
                phase = self._vocabulary if self._context == "phase" and t & 1 else 0
                np.add(token[t], phase, out=place[t])
            np.add(base[t], place[t], out=index)
            self.flat.take(index, out=token[t + 1], mode="clip")
            if noise is not None:
                np.copyto(token[t + 1], noise[t], where=noise[t] >= 0)

    def _follow_few(self, start: State, plan: Layout, noise: IntArray | None) -> None:
        """The same lane by lane in plain Python."""
        for lane in range(plan.previous.size):
            noisy = None if noise is None else noise[:, lane].tolist()
            first = int(start.token[lane]), int(start.previous[lane])
            tokens, places = self._follow_lane(*first, plan.lines[:, BASE, lane].tolist(), noisy)
            plan.token[:, lane], plan.place[:, lane] = tokens, places

    def _follow_lane(
        self, token: int, previous: int, base: list[int], noise: list[int] | None
    ) -> tuple[list[int], list[int]]:
        flat, width, tokens, places = self._listed, self._vocabulary, [token], []
        second_order, phased = self._context == "previous", self._context == "phase"
        for t, offset in enumerate(base):
            context = previous if second_order else t & 1 if phased else 0
            previous, place = token, context * width + token
            token = flat[offset + place]
            if noise is not None and noise[t] >= 0:
                token = noise[t]
            tokens.append(token)
            places.append(place)
        return tokens, places

    def _noise(self, start: State) -> IntArray:
        """The uniform token that replaces the answer at each step, or -1, ``int32[T + 1, n]``."""
        t = np.arange(self.steps + 1, dtype=np.int32)[:, None]
        noisy = self._hash.bits(start.draw, t, NOISE) < np.uint32(int(self.params.noise * 2**32))
        drawn = self._hash.below(self._hash.bits(start.draw, t, NOISE_TOKEN), self._vocabulary)
        return np.where(noisy, drawn, -1)
