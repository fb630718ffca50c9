"""The dynamics of PatternWorld for a batch, once, for NumPy and JAX.

``Kernel(xp, params)`` has the two functions ``reset(key, episode, overrides)`` and ``step(state, action)``.
Arrays may have any leading shape (``[B]`` in a vector environment, none under ``vmap``).  Only integers, table
look-ups and comparisons, so both namespaces give the bits of ``reference.py``; no auto-reset inside.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tropism.envs.patternworld.kernel_regimes import SHORT, RegimeKernel, State, choose
from tropism.envs.patternworld.permutations import once
from tropism.envs.patternworld.rules import (
    DWELL,
    NOISE,
    NOISE_TOKEN,
    TOKEN,
)


class Kernel(RegimeKernel):
    """PatternWorld's dynamics over the array namespace ``xp`` (``numpy`` or ``jax.numpy``)."""

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
            stale_active=nothing, token=zero, previous=zero, target=zero, query=nothing,
            history=xp.full((*zero.shape, self.params.history), self.params.vocabulary, xp.uint8),
            action=zero + self.params.num_actions, outcome=zero + 3,
        )  # fmt: skip
        state = self._first_rule(state, forced.get("rule"))
        dwell = self._dwell(self.hash.bits(draw, zero, DWELL))
        state = state._replace(next_switch=choose(xp, forced.get("dwell"), dwell))
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
        """Concatenation along the last axis; XLA runs it faster as selects, where ``right`` is short."""
        xp, width, more = self.xp, left.shape[-1], right.shape[-1]
        if xp is np or more > SHORT:
            return xp.concatenate([left, right], -1)
        joined = xp.pad(left, [(0, 0)] * (left.ndim - 1) + [(0, more)])
        column = xp.arange(width + more)
        for n in range(more):
            joined = xp.where(column == width + n, right[..., n : n + 1], joined)
        return joined

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
            "stale_target": self._stale_target(state),
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
        if self.params.noise:
            noisy = word(state.draw, state.t, NOISE) < xp.uint32(int(self.params.noise * 2**32))
            drawn = self.hash.below(word(state.draw, state.t, NOISE_TOKEN), self.params.vocabulary)
            target = xp.where(noisy, drawn, target)
        return state._replace(target=target, history=self._push(state.history, shown))

    def _stale_target(self, state: State) -> Any:
        """What the rule before would answer: asked for by ``labels`` alone, so a rollout need not find it."""
        stale = self._follow(self.xp.maximum(state.stale_rule, 0), state)
        return self.xp.where(state.stale_rule < 0, -1, stale)

    def _follow(self, rule: Any, state: State) -> Any:
        rules = self._rules
        _, contexts, vocabulary = rules.table.shape
        context = {"phase": state.t & 1, "previous": state.previous, "none": 0}[rules.context]
        return self._look_up(
            rules.table.reshape(-1), (rule * contexts + context) * vocabulary + state.token
        )

    def _push(self, history: Any, shown: list[Any]) -> Any:
        tokens = shown[0] if len(shown) == 1 else self.xp.concatenate(shown, -1)
        tokens = once(self.xp, tokens.astype(history.dtype))[..., -self.params.history :]
        return self._join(history[..., tokens.shape[-1] :], tokens)
