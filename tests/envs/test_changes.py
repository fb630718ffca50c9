"""A change of some lanes is ``where``, computed only when a lane needs it."""

from __future__ import annotations

import numpy as np
import pytest

from tropism.envs import make_functional
from tropism.envs.core.changes import change_where

jax = pytest.importorskip("jax")
jnp = jax.numpy

LANES = 6
STATE = {"count": np.arange(LANES, dtype=np.int32), "rows": np.ones((LANES, 3), np.float32)}
MASKS = {
    "none": np.zeros(LANES, bool),
    "some": np.arange(LANES) % 3 == 1,
    "all": np.ones(LANES, bool),
}


def change(state, more):
    return {"count": state["count"] + more, "rows": state["rows"] * 2}


def expected(mask, more):
    return {
        "count": np.where(mask, STATE["count"] + more, STATE["count"]),
        "rows": np.where(mask[:, None], STATE["rows"] * 2, STATE["rows"]),
    }


def same(found, wanted):
    jax.tree.map(np.testing.assert_array_equal, found, wanted)


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
def test_it_is_where_for_a_batch_and_under_vmap(mask):
    def apply(mask, state):
        return change_where(mask, change, state, jnp.int32(10))

    for function in (apply, jax.vmap(apply), jax.jit(jax.vmap(apply))):
        same(function(mask, STATE), expected(mask, 10))
    for lane in range(LANES):
        single = jax.jit(apply)(mask[lane], {name: part[lane] for name, part in STATE.items()})
        same(single, {name: part[lane] for name, part in expected(mask, 10).items()})


def test_it_is_where_under_two_vmaps_and_for_a_state_that_the_lanes_share():
    mask, more = MASKS["some"], np.arange(LANES, dtype=np.int32)

    def apply(mask, count, more):
        return change_where(mask, lambda count, more: count + more, count, more)

    inner = jax.vmap(apply, in_axes=(0, None, None))
    both = jax.jit(jax.vmap(inner, in_axes=(None, 0, 0)))(mask, STATE["count"], more)
    same(both, STATE["count"][:, None] + mask * more[:, None])


def test_nothing_is_computed_while_no_lane_needs_it():
    calls = []

    def counted(state, more):
        jax.debug.callback(lambda: calls.append(1))
        return change(state, more)

    apply = jax.jit(jax.vmap(lambda m, s: change_where(m, counted, s, jnp.int32(1))))
    for mask in MASKS.values():
        calls.clear()
        jax.block_until_ready(apply(mask, STATE))
        jax.effects_barrier()
        assert bool(calls) == (mask.any() and jax.default_backend() == "cpu")


def test_a_policy_can_be_differentiated_through_a_rollout():
    env, params = make_functional("tropism/PatternWorld-Switch-v0", flat=True, max_episode_steps=3)

    def score(weights, key):
        observation, state = env.reset(key, params)

        def step(carry, _):
            observation, state = carry
            logits = observation @ weights
            action = logits.argmax()
            observation, state, reward, *_ = env.step(None, state, action, params)
            return (observation, state), reward * logits[action]

        return jax.lax.scan(step, (observation, state), None, 7)[1].sum()

    keys, weights = jax.random.split(jax.random.key(0), 4), jnp.ones((67, 100))
    batch = jax.jit(jax.grad(lambda w: jax.vmap(score, in_axes=(None, 0))(w, keys).sum()))
    assert np.isfinite(batch(weights)).all()
