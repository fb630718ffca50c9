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

    def step(key: Any, state: Any, action: Any) -> tuple[Any, ...]:
        observation, state, reward, *_ = jax.vmap(lambda s, a: env.step(key, s, a, params))(
            state, action
        )
        return observation, state, reward

    keys = jax.random.split(jax.random.key(0), SCAN_LANES)
    return _timed(jax.vmap(lambda key: env.reset(key, params))(keys), step, num_actions)


def gymnax_cartpole() -> Round:
    """The same of gymnax's CartPole-v1, the peer."""
    import jax

    env, params = import_module("gymnax").make("CartPole-v1")

    def step(key: Any, state: Any, action: Any) -> tuple[Any, ...]:
        keys = jax.random.split(key, SCAN_LANES)
        observation, state, reward, *_ = jax.vmap(lambda k, s, a: env.step(k, s, a, params))(
            keys, state, action
        )
        return observation, state, reward

    keys = jax.random.split(jax.random.key(0), SCAN_LANES)
    return _timed(jax.vmap(lambda key: env.reset(key, params))(keys), step, 2)


def _timed(reset: tuple[Any, Any], step: Callable[..., tuple[Any, ...]], num_actions: int) -> Round:
    """A round that plays ``SCAN_STEPS`` steps of ``SCAN_LANES`` lanes; compiled before the first."""
    import jax
    import jax.numpy as jnp

    def body(carry: tuple[Any, ...], _: None) -> tuple[tuple[Any, ...], Any]:
        _, state, key = carry
        key, draw, lane = jax.random.split(key, 3)
        action = jax.random.randint(draw, (SCAN_LANES,), 0, num_actions)
        # The observation is carried along, as a learner's is: so it is made at every step.
        observation, state, reward = step(lane, state, action)
        return (observation, state, key), jnp.sum(reward)

    @jax.jit
    def run(observation: Any, state: Any, key: Any) -> tuple[Any, Any]:
        last, rewards = jax.lax.scan(body, (observation, state, key), None, SCAN_STEPS)
        return last[0], rewards.sum()

    jax.block_until_ready(run(*reset, jax.random.key(1)))

    def play() -> float:
        started = time.perf_counter()
        jax.block_until_ready(run(*reset, jax.random.key(2)))
        return SCAN_LANES * SCAN_STEPS / (time.perf_counter() - started)

    return play
