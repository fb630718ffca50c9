"""The dynamics of PatternWorld for a batch, once, for NumPy and JAX.

``Kernel(xp, params)`` has the two functions ``reset(key, episode, overrides)`` and ``step(state, action)``.
Arrays may have any leading shape (``[B]`` in a vector environment, none under ``vmap``).  Only integers, table
look-ups and comparisons, so both namespaces give the bits of ``reference.py``; no auto-reset inside.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from tropism.envs.core.random import Hash
from tropism.envs.patternworld.params import Params
from tropism.envs.patternworld.permutations import once, pick
from tropism.envs.patternworld.rules import (
    DWELL,
    NOISE,
    NOISE_TOKEN,
    RULE,
    SHUFFLE,
    SHUFFLE_STEP,
    TOKEN,
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
    stale_target: Any
    query: Any
    history: (
        Any  # [..., H], uint8: every tier has fewer than 255 tokens, and a step copies them all
    )
    action: Any
    outcome: Any  # 0 wrong, 1 right, 2 peeked, 3 nothing answered yet


_REGIME = ("regime", "next_switch", "rule", "stale_rule", "slot", "active", "stale_active")
"""What changes when the regime does."""


class Kernel:
    """PatternWorld's dynamics over the array namespace ``xp`` (``numpy`` or ``jax.numpy``)."""

    def __init__(self, xp: Any, params: Params) -> None:
        self.xp, self.params = xp, params
        self.hash = Hash(xp)
        self.integer = xp.int64 if xp is np else xp.int32
        self._thresholds = dwell_thresholds(params)
        self._rewards = np.array([*params.rewards, 0.0], np.float64 if xp is np else np.float32)
        self._load_rules()

    def _load_rules(self) -> None:
        self._rules = library(self.params)

    # -- an episode -----------------------------------------------------------------------------------------

    def reset(self, key: Any, episode: Any, overrides: Mapping[str, Any] | None = None) -> State:
        """Begin ``episode`` (int32[...]) of the lanes whose keys are ``key`` (uint32[..., 2]).

        ``overrides`` maps reset options to int32[...]; -1 leaves the draw alone.
        """
        xp, forced = self.xp, overrides or {}
        zero = episode * 0
        nothing = zero[..., None][..., :0]  # what a tier does not use takes no room and no time
        draw = self.hash.episode_key(key, episode)
        state = State(
            key=key, episode=episode, draw=draw, t=zero, regime=zero, next_switch=zero, since=zero,
            switched=zero != 0, rule=zero, stale_rule=zero - 1, slot=nothing, active=nothing,
            stale_active=nothing, token=zero, previous=zero, target=zero, stale_target=zero - 1, query=nothing,
            history=xp.full((*zero.shape, self.params.history), self.params.vocabulary, xp.uint8),
            action=zero + self.params.num_actions, outcome=zero + 3,
        )  # fmt: skip
        state = self._first_rule(state, forced.get("rule"))
        state = state._replace(next_switch=choose(xp, forced.get("dwell"), self._draw_dwell(state)))
        return self._first_tokens(state, forced)

    def step(self, state: State, action: Any) -> State:
        """Judge ``action`` (int32[...], valid) and move on to the next question."""
        xp, params = self.xp, self.params
        action = action.astype(xp.int32)
        peeked = action == (params.vocabulary if params.feedback == "probe" else -1)
        answer = action if params.feedback == "closed" else state.target
        shown = answer
        if params.feedback in ("bandit", "probe"):
            shown = xp.where(peeked, answer, params.vocabulary)
        outcome = xp.where(peeked, 2, (action == state.target) * 1).astype(xp.int32)
        t = state.t + 1
        switched = t == state.next_switch
        state = state._replace(
            t=t, previous=state.token, token=answer, action=action, outcome=outcome
        )
        state = self._switch(state, switched)
        state = state._replace(switched=switched, since=xp.where(switched, 0, state.since + 1))
        return self._ask(state, [shown[..., None]])

    def observe(self, state: State) -> Any:
        """The batched observation of ``state``."""
        xp = self.xp
        reward = self._look_up(self._rewards, state.outcome).astype(xp.float32)
        action, query = state.action, self._query(state)
        if self.params.flat:
            extras = xp.stack([action.astype(xp.float32), reward, query.astype(xp.float32)], -1)
            return self._join(state.history.astype(xp.float32), extras)
        return {
            "history": state.history.astype(self.integer),
            "prev_action": action.astype(self.integer),
            "prev_reward": reward[..., None],
            "query_k": query.astype(self.integer),
        }

    def _query(self, state: State) -> Any:
        """Hops asked for: none, but on Hop."""
        return state.t * 0

    def _join(self, left: Any, right: Any) -> Any:
        """Concatenation along the last axis; XLA runs it faster as two writes into one array."""
        if self.xp is np:
            return np.concatenate([left, right], -1)
        from jax.lax import dynamic_update_slice

        width, origin = left.shape[-1], (0,) * (left.ndim - 1)
        room = self.xp.zeros((*left.shape[:-1], width + right.shape[-1]), left.dtype)
        return dynamic_update_slice(
            dynamic_update_slice(room, left, (*origin, 0)), right, (*origin, width)
        )

    def reward(self, state: State) -> Any:
        """Reward of the answer that led to ``state``; float64 in NumPy, float32 in JAX, the same numbers."""
        return self._look_up(self._rewards, state.outcome)

    def ended(self, state: State) -> tuple[Any, Any]:
        """Never terminated; truncated after ``max_episode_steps``."""
        limit = self.params.max_episode_steps or 2**30
        return state.t < 0, state.t >= limit

    def labels(self, state: State) -> dict[str, Any]:
        """The hidden truth about ``state``, for ``info``."""
        numbers = {
            "rule": state.rule,
            "since_switch": state.since,
            "required_compute": self.xp.maximum(self._query(state), 1),
            "target": state.target,
            "stale_target": state.stale_target,
        }
        return {"switched": state.switched} | {
            k: v.astype(self.integer) for k, v in numbers.items()
        }

    # -- tokens ---------------------------------------------------------------------------------------------

    def _first_tokens(self, state: State, forced: Mapping[str, Any]) -> State:
        low, high = self.params.first_token or (0, self.params.vocabulary - 1)
        first, before = (
            low + self.hash.below(self.hash.bits(state.draw, state.t + n, TOKEN), high - low + 1)
            for n in (0, 1)
        )
        token = choose(self.xp, forced.get("token"), first)
        previous = choose(self.xp, forced.get("previous_token"), before)
        state = state._replace(token=token, previous=previous)
        shown = (previous, token) if self._rules.context == "previous" else (token,)
        return self._ask(state, [tokens[..., None] for tokens in shown])

    def _ask(self, state: State, shown: list[Any]) -> State:
        """Fix the next target and show what the agent sees of the last answer."""
        xp, word = self.xp, self.hash.bits
        target = self._follow(state.rule, state)
        stale = xp.where(
            state.stale_rule < 0, -1, self._follow(xp.maximum(state.stale_rule, 0), state)
        )
        if self.params.noise:
            noisy = word(state.draw, state.t, NOISE) < xp.uint32(int(self.params.noise * 2**32))
            drawn = self.hash.below(word(state.draw, state.t, NOISE_TOKEN), self.params.vocabulary)
            target = xp.where(noisy, drawn, target)
        return state._replace(
            target=target, stale_target=stale, history=self._push(state.history, shown)
        )

    def _follow(self, rule: Any, state: State) -> Any:
        rules = self._rules
        _, contexts, vocabulary = rules.table.shape
        context = {"phase": state.t & 1, "previous": state.previous, "none": 0}[rules.context]
        return self._look_up(
            rules.table.reshape(-1), (rule * contexts + context) * vocabulary + state.token
        )

    def _push(self, history: Any, shown: list[Any]) -> Any:
        if (
            self.xp is not np
        ):  # else XLA would hash a drawn token again for every place of the history
            from jax.lax import optimization_barrier

            shown = optimization_barrier(shown)
        tokens = [tokens.astype(history.dtype) for tokens in shown]
        return self.xp.concatenate([history, *tokens], -1)[..., -self.params.history :]

    # -- regimes --------------------------------------------------------------------------------------------

    def _draw_dwell(self, state: State) -> Any:
        word = self.hash.bits(state.draw, state.regime, DWELL)
        return (self.params.dwell[0] + 1 + self._above(word)).astype(self.xp.int32)

    def _above(self, word: Any) -> Any:
        """How many thresholds exceed ``word``.

        JAX searches slowly, so there the logarithm, right to within one, only says where to look in the table:
        the answer is the table's, and exact.
        """
        thresholds, xp = self._thresholds, self.xp
        count = len(thresholds)
        if xp is np or not count:
            return count - np.searchsorted(thresholds, word, side="right") if count else word * 0
        falling = np.concatenate([thresholds[::-1], np.zeros(3, np.uint32)])
        scale = 1 / math.log1p(-self.params.dwell[1])
        near = xp.log((word.astype(xp.float32) + 1) / 2.0**32) * scale
        first = xp.clip(near.astype(xp.int32) - 1, 0, count)
        return first + sum(self._look_up(falling, first + n) > word for n in range(3))

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
        if self.xp is np:
            return self._switch_some(state, switched)
        following, chosen = self._next_regime(state), {}
        for name in _REGIME:
            old, new = getattr(state, name), getattr(following, name)
            mask = switched[..., None] if old.ndim > switched.ndim else switched
            chosen[name] = self.xp.where(mask, new, old)
        return state._replace(switched=switched, **chosen)

    def _switch_some(self, state: State, switched: Any) -> State:
        """The same in NumPy, which need not draw for the lanes that do not switch."""
        state = state._replace(switched=switched)
        lanes = np.flatnonzero(switched)
        if not lanes.size:
            return state
        following, chosen = self._next_regime(State(*(part[lanes] for part in state))), {}
        for name in _REGIME:
            chosen[name] = getattr(state, name).copy()
            chosen[name][lanes] = getattr(following, name)
        return state._replace(**chosen)

    def _next_regime(self, state: State) -> State:
        """The regime that follows ``state`` in every lane."""
        following = state._replace(regime=state.regime + 1)
        word = self.hash.bits(state.draw, following.regime, RULE)
        following = self._next_rule(following, word)._replace(stale_rule=state.rule)
        return following._replace(next_switch=state.t + self._draw_dwell(following))

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
        return self.xp.take(self.xp.asarray(table), index, mode="clip")


def choose(xp: Any, forced: Any, drawn: Any) -> Any:
    """``forced`` where it is set (not -1), else ``drawn``."""
    return drawn if forced is None else xp.where(forced >= 0, forced, drawn)
