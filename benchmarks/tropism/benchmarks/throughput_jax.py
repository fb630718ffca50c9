"""Jitted scans of the functional faces: random actions drawn inside, auto-resets included."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from tropism.benchmarks.throughput import SCAN_LANES, SCAN_STEPS, Round


def scan(env_id: str, kwargs: Mapping[str, Any]) -> Round:
    """A scan of the suite's own functional face (the gymnax 1.0 convention: six values)."""
    import jax

    from tropism.envs import make_functional

    env, params = make_functional(env_id, **kwargs)
    num_actions = int(env.action_space(params).n)

    def step(key: Any, state: Any, action: Any) -> tuple[Any, Any]:
        observation, state, reward, *_ = jax.vmap(lambda s, a: env.step(key, s, a, params))(
            state, action
        )
        return state, (observation, reward)

    keys = jax.random.split(jax.random.key(0), SCAN_LANES)
    return _timed(jax.vmap(lambda key: env.reset(key, params)[1])(keys), step, num_actions)


def gymnax_cartpole() -> Round:
    """The same of gymnax's CartPole-v1, the peer."""
    import jax

    env, params = import_module("gymnax").make("CartPole-v1")

    def step(key: Any, state: Any, action: Any) -> tuple[Any, Any]:
        keys = jax.random.split(key, SCAN_LANES)
        observation, state, reward, *_ = jax.vmap(lambda k, s, a: env.step(k, s, a, params))(
            keys, state, action
        )
        return state, (observation, reward)

    keys = jax.random.split(jax.random.key(0), SCAN_LANES)
    return _timed(jax.vmap(lambda key: env.reset(key, params)[1])(keys), step, 2)


def _timed(state: Any, step: Callable[..., tuple[Any, Any]], num_actions: int) -> Round:
    """A round that plays ``SCAN_STEPS`` steps of ``SCAN_LANES`` lanes; compiled before the first."""
    import jax
    import jax.numpy as jnp

    def body(carry: tuple[Any, Any], _: None) -> tuple[tuple[Any, Any], Any]:
        state, key = carry
        key, draw, lane = jax.random.split(key, 3)
        action = jax.random.randint(draw, (SCAN_LANES,), 0, num_actions)
        state, (observation, reward) = step(lane, state, action)
        # A checksum of what a learner would read keeps the compiler from dropping the work.
        seen = sum(jnp.sum(leaf.astype(jnp.float32)) for leaf in jax.tree.leaves(observation))
        return (state, key), jnp.sum(reward) + seen

    run = jax.jit(lambda state, key: jax.lax.scan(body, (state, key), None, SCAN_STEPS)[1].sum())
    run(state, jax.random.key(1)).block_until_ready()

    def play() -> float:
        started = time.perf_counter()
        run(state, jax.random.key(2)).block_until_ready()
        return SCAN_LANES * SCAN_STEPS / (time.perf_counter() - started)

    return play
