"""How regimes follow one another, for a batch: the part of the PatternWorld kernel that draws rules and dwells."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from tropism.envs.core.changes import change_where
from tropism.envs.core.random import Hash
from tropism.envs.patternworld.params import Params
from tropism.envs.patternworld.permutations import once, pick
from tropism.envs.patternworld.rules import (
    DWELL,
    RULE,
    SHUFFLE,
    SHUFFLE_STEP,
    dwell_thresholds,
    library,
)


class State(NamedTuple):
    """The whole state of a batch; integers are int32, words uint32.  Shapes follow the batch shape ``...``."""

    key: Any  # [..., 2] of the lane
    episode: Any
    draw: Any  # [..., 2] key of the episode
    t: Any
    regime: Any
    next_switch: Any
    since: Any
    switched: Any  # bool
    rule: Any
    stale_rule: Any
    slot: Any  # Recur: which of the active rules; [..., 0] where a tier has none, as the next two and query
    active: Any  # [..., A], Recur: rules in use; Hop: [..., 8], the permutation
    stale_active: Any  # Hop: the permutation before
    token: Any
    previous: Any
    target: Any
    query: Any
    history: (
        Any  # [..., H], uint8: every tier has fewer than 255 tokens, and a step copies them all
    )
    action: Any
    outcome: Any  # 0 wrong, 1 right, 2 peeked, 3 nothing answered yet


_REGIME = ("next_switch", "rule", "stale_rule", "slot", "active", "stale_active")
"""What changes when the regime does."""
SHORT = 4
"""Up to this length, XLA runs a chain of selects faster than a look-up."""


class RegimeKernel:
    """Draws over the array namespace ``xp`` (``numpy`` or ``jax.numpy``)."""

    def __init__(self, xp: Any, params: Params) -> None:
        self.xp, self.params = xp, params
        self.hash = Hash(xp)
        self.integer = xp.int64 if xp is np else xp.int32
        self._thresholds = dwell_thresholds(params)
        self._rewards = np.array([*params.rewards, 0.0], np.float64 if xp is np else np.float32)
        self._load_rules()

    def _load_rules(self) -> None:
        self._rules = library(self.params)

    def _dwell(self, word: Any) -> Any:
        """How long a regime lasts, from 32 random bits."""
        return (self.params.dwell[0] + 1 + self._above(word)).astype(self.xp.int32)

    def _above(self, word: Any) -> Any:
        """How many thresholds exceed ``word``.

        JAX searches slowly, so there the logarithm, right to within a half, leaves two answers, and the one
        threshold between them decides: exact.
        """
        thresholds, xp = self._thresholds, self.xp
        count = len(thresholds)
        if xp is np or not count:
            return count - np.searchsorted(thresholds, word, side="right") if count else word * 0
        falling = np.append(thresholds[::-1], np.uint32(0))
        scale = 1 / math.log1p(-self.params.dwell[1])
        near = xp.log((word.astype(xp.float32) + 1) / 2.0**32) * scale
        fewest = xp.clip((near - 0.5).astype(xp.int32), 0, count)
        return fewest + (self._look_up(falling, fewest) > word)

    def _first_rule(self, state: State, forced: Any) -> State:
        xp = self.xp
        if self.params.active_rules:
            active = self._shuffle(state, self._rules.num_rules, self.params.active_rules)
            first = choose(xp, forced, active[..., 0])
            # The forced rule comes first; where it was in use already, the two change places.
            rest = xp.where(active[..., 1:] == first[..., None], active[..., :1], active[..., 1:])
            active = xp.concatenate([first[..., None], rest], -1)
            return state._replace(active=active, slot=first * 0, rule=first)
        drawn = self.hash.below(
            self.hash.bits(state.draw, state.regime, RULE), self._rules.num_rules
        )
        return state._replace(rule=choose(xp, forced, drawn * (self.params.schedule != "cyclic")))

    def _switch(self, state: State, switched: Any) -> State:
        """Where ``switched``, take the next regime; ``_ask`` of Hop looks at the flag."""
        state = state._replace(switched=switched, regime=state.regime + switched)
        if self.xp is np:
            return self._switch_some(state)
        return change_where(switched, self._next_regime, state, self._words(state))

    def _switch_some(self, state: State) -> State:
        """The same in NumPy, which need not draw for the lanes that do not switch."""
        lanes = np.flatnonzero(state.switched)
        if not lanes.size:
            return state
        before, chosen = State(*(part[lanes] for part in state)), {}
        following = self._next_regime(before, self._words(before))
        for name in _REGIME:
            chosen[name] = getattr(state, name).copy()
            chosen[name][lanes] = getattr(following, name)
        return state._replace(**chosen)

    def _words(self, state: State) -> tuple[Any, Any]:
        """Random bits for the rule and the dwell of the regime."""
        rule, dwell = (self.hash.bits(state.draw, state.regime, s) for s in (RULE, DWELL))
        return rule, dwell

    def _next_regime(self, state: State, words: tuple[Any, Any]) -> State:
        """The rule and the dwell of a regime that begins, ``state`` having those of the one before."""
        following, dwell = self._next_rule(state, words[0]), self._dwell(words[1])
        return following._replace(stale_rule=state.rule, next_switch=state.t + dwell)

    def _next_rule(self, state: State, word: Any) -> State:
        xp, rules = self.xp, self._rules
        if self.params.active_rules:
            slot = self._other(state.slot, self.params.active_rules, word)
            return state._replace(slot=slot, rule=pick(xp, state.active, slot))
        if rules.successors is not None and rules.num_successors is not None:
            place = state.rule * self.params.vocabulary + state.token
            nth = self.hash.below(word, self._look_up(rules.num_successors.reshape(-1), place))
            width = rules.successors.shape[-1]
            return state._replace(
                rule=self._look_up(rules.successors.reshape(-1), place * width + nth)
            )
        return state._replace(rule=self._other(state.rule, self._rules.num_rules, word))

    def _other(self, current: Any, n: int, word: Any) -> Any:
        """Another of ``n`` than ``current``: the next in turn, or any with equal chance."""
        shift = 0 if self.params.schedule == "cyclic" else self.hash.below(word, n - 1)
        following = current + 1 + shift
        return self.xp.where(following >= n, following - n, following)

    def _shuffle(self, state: State, n: int, picks: int) -> Any:
        """The first ``picks`` of a Fisher-Yates shuffle of ``range(n)``, ``int32[..., picks]``."""
        xp = self.xp
        column, turn = xp.arange(n, dtype=xp.int32), xp.arange(picks, dtype=xp.int32)
        counter = (state.regime * SHUFFLE_STEP)[..., None] + turn
        words = self.hash.bits(state.draw[..., None, :], counter, SHUFFLE)
        places = once(self.xp, turn + self.hash.below(words, n - turn))
        items = column + state.regime[..., None] * 0
        for i in range(picks):
            j = places[..., i]
            at_i, at_j = items[..., i : i + 1], pick(xp, items, j)[..., None]
            items = xp.where(column == j[..., None], at_i, items)
            items = xp.where(column == i, at_j, items)
        return items[..., :picks]

    def _look_up(self, table: Any, index: Any) -> Any:
        table = self.xp.asarray(table)
        if self.xp is not np and len(table) <= SHORT:
            return pick(self.xp, table, index)
        return self.xp.take(table, index, mode="clip")


def choose(xp: Any, forced: Any, drawn: Any) -> Any:
    """``forced`` where it is set (not -1), else ``drawn``."""
    return drawn if forced is None else xp.where(forced >= 0, forced, drawn)
