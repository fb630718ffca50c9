"""Checks of seeding and of the errors an environment owes its callers."""

from __future__ import annotations

import copy
import random
from typing import Any

import gymnasium
import numpy as np
from gymnasium.error import InvalidAction, ResetNeeded

from tropism.envs.core.conformance.case import Case, differences, require_error, require_same

EPISODES = 16
"""Episodes that must not all be alike; two fair two-way draws agree 16 times once in 32,768 runs."""
LONG = 1000
"""Steps within which an environment without a time limit must end an episode of random actions."""


def seeding(case: Case) -> None:
    """Seeded resets repeat with all that follows; other seeds and unseeded resets bring other episodes."""
    env = case.make()
    before = _global_generators()
    seeded = [_episode(env, seed) for seed in range(EPISODES)]
    chain = [_episode(env, seed) for seed in (5, *[None] * EPISODES)]
    require_same(seeded[5], chain[0], "two episodes of the same seed")
    again = [_episode(env, seed) for seed in (5, *[None] * EPISODES)]
    require_same(chain, again, "the unseeded episodes after two resets with the same seed")
    for name, episodes in (("other seeds", seeded), ("unseeded resets", chain[1:])):
        if all(differences(episode, episodes[0]) is None for episode in episodes[1:]):
            raise AssertionError(f"{name} always bring the same episode")
    fresh = [_episode(case.make(), None) for _ in range(EPISODES)]
    if all(differences(episode, fresh[0]) is None for episode in fresh[1:]):
        raise AssertionError("a new environment without a seed always brings the same episode")
    if _global_generators() != before:
        raise AssertionError("the environment draws from Python's or NumPy's global generator")


def _global_generators() -> tuple[Any, Any]:
    numpy_state: Any = np.random.get_state()  # noqa: NPY002  the global generator is what is checked
    return random.getstate(), (numpy_state[1].tobytes(), numpy_state[2])


def _episode(env: gymnasium.Env[Any, Any], seed: int | None) -> list[Any]:
    env.action_space.seed(0)
    trace: list[Any] = [copy.deepcopy(env.reset(seed=seed))]
    for _ in range(32):
        trace.append(copy.deepcopy(env.step(env.action_space.sample())))
        if trace[-1][2] or trace[-1][3]:
            break
    return trace


def typed_errors(case: Case) -> None:
    """A step before the reset or after the end raises ``ResetNeeded``; a wrong action ``InvalidAction``.

    An environment can only refuse to go on after an end of its own: an end by Gymnasium's ``TimeLimit`` is unknown
    to what it wraps.  (A vector environment counts for itself: see ``vector_typed_errors``.)
    """
    env = case.make().unwrapped
    env.action_space.seed(0)
    require_error(lambda: env.step(env.action_space.sample()), ResetNeeded, "step() before reset()")
    env.reset(seed=0)
    for action in _wrong_actions(env.action_space):
        require_error(lambda action=action: env.step(action), InvalidAction, f"step({action!r})")
    if _ends_by_itself(env):
        require_error(
            lambda: env.step(env.action_space.sample()), ResetNeeded, "step() after the end"
        )
    else:
        _time_limit_ends_it(case)


def _ends_by_itself(env: gymnasium.Env[Any, Any]) -> bool:
    env.reset(seed=0)
    return any(any(env.step(env.action_space.sample())[2:4]) for _ in range(LONG))


def _time_limit_ends_it(case: Case) -> None:
    """There is a limit, and a low one ends an episode: no id may play on for ever."""
    if case.spec.max_episode_steps is None:
        raise AssertionError(
            f"no episode ended within {LONG} steps, and the id has no max_episode_steps"
        )
    limited = case.make(max_episode_steps=5)
    limited.action_space.seed(0)
    limited.reset(seed=0)
    if not any(limited.step(limited.action_space.sample())[3] for _ in range(5)):
        raise AssertionError("max_episode_steps=5 did not truncate the episode")


def _wrong_actions(space: gymnasium.Space[Any]) -> list[Any]:
    wrong: list[Any] = [None, "left", {}]
    if isinstance(space, gymnasium.spaces.Discrete):
        return [
            *wrong,
            int(space.start) - 1,
            int(space.start + space.n),
            0.5,
            np.zeros(2, np.int64),
        ]
    if isinstance(space, gymnasium.spaces.MultiDiscrete):
        return [
            *wrong,
            space.start + space.nvec,
            space.start - 1,
            np.zeros(space.shape[0] + 1, np.int64),
        ]
    if isinstance(space, gymnasium.spaces.Box):
        over = np.where(np.isfinite(space.high), space.high + 1, np.nan)
        return [*wrong, over, np.full(space.shape, np.nan), np.zeros((*space.shape, 2))]
    return wrong
