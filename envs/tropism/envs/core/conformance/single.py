"""Checks of the single environment."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import cloudpickle
import gymnasium
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env

from tropism.envs.core.conformance.case import STEPS, Case, require_same, rollout
from tropism.envs.core.conformance.rendering import rendering
from tropism.envs.core.conformance.rules import seeding, typed_errors


def gymnasium_checker(case: Case) -> None:
    """Gymnasium's own invasive checker on the bare environment."""
    check_env(case.make().unwrapped)


def passive_checker(case: Case) -> None:
    """No complaint from Gymnasium's passive checker in a rollout, and every observation in its space."""
    env = case.make()
    for outcome in rollout(env, STEPS, seed=0):
        if outcome[0] not in env.observation_space:
            raise AssertionError(f"observation {outcome[0]!r} is not in {env.observation_space}")
    env.close()


def python_scalars(case: Case) -> None:
    """Rewards are Python floats and flags Python bools: Stable-Baselines3 refuses NumPy's."""
    for outcome in rollout(case.make(), STEPS, seed=0):
        if len(outcome) == 5 and [type(value) for value in outcome[1:4]] != [float, bool, bool]:
            kinds = [type(value).__name__ for value in outcome[1:4]]
            raise AssertionError(
                f"reward, terminated, truncated must be float, bool, bool, got {kinds}"
            )


def determinism(case: Case) -> None:
    """Two instances with one seed return the same, exactly."""
    require_same(
        rollout(case.make(), STEPS, seed=1), rollout(case.make(), STEPS, seed=1), "two instances"
    )


def pickling(case: Case) -> None:
    """A copy of any kind continues the episode like the original; vectors in processes send by cloudpickle."""
    env = case.make()
    env.action_space.seed(0)
    env.reset(seed=2)
    env.step(env.action_space.sample())
    copies = {  # made here, so safe to load
        "pickled": pickle.loads(pickle.dumps(env)),
        "cloudpickled": cloudpickle.loads(cloudpickle.dumps(env)),
        "deep-copied": copy.deepcopy(env),
    }
    action = env.action_space.sample()
    outcome = env.step(action)
    follow = rollout(env, STEPS, seed=None)
    for name, other in copies.items():
        require_same(outcome, other.step(action), f"the {name} environment and its original")
        require_same(
            follow, rollout(other, STEPS, seed=None), f"the {name} environment and its original"
        )


def spec_round_trip(case: Case) -> None:
    """The specification survives JSON and makes the same environment."""
    env = case.make()
    if env.spec is None:
        raise AssertionError("the environment has no spec")
    text = env.spec.to_json()
    json.loads(text)
    again = gymnasium.make(EnvSpec.from_json(text))
    require_same(
        rollout(env, STEPS, seed=3), rollout(again, STEPS, seed=3), "the environment and its spec's"
    )


def closing(case: Case) -> None:
    """Closing twice is allowed, with and without an episode."""
    for reset in (False, True):
        env = case.make()
        if reset:
            env.reset(seed=0)
        env.close()
        env.close()


def time_limit(case: Case) -> None:
    """``max_episode_steps`` overrides the registered limit, and -1 lifts it."""
    env = case.make(max_episode_steps=2)
    env.action_space.seed(0)
    env.reset(seed=0)
    ends = [env.step(env.action_space.sample())[2:4] for _ in range(2)]
    if ends[0] == (False, False) and ends[1] == (False, False):
        raise AssertionError("max_episode_steps=2 did not end the episode after two steps")
    limit = case.spec.max_episode_steps
    free = case.make(max_episode_steps=-1)
    free.action_space.seed(0)
    free.reset(seed=0)
    for _ in range(min(limit or 0, 2000) + 1):
        _, _, terminated, truncated, _ = free.step(free.action_space.sample())
        if truncated:
            raise AssertionError("max_episode_steps=-1 did not lift the time limit")
        if terminated:
            break


def wrapping(case: Case) -> None:
    """Gymnasium's wrappers work on it: what they return lies in their spaces."""
    wrappers: list[Callable[[Any], Any]] = [
        gymnasium.wrappers.FlattenObservation,
        gymnasium.wrappers.RecordEpisodeStatistics,
        lambda env: gymnasium.wrappers.StickyAction(env, repeat_action_probability=0.25),
    ]
    if case.spec.max_episode_steps is not None:
        wrappers.append(gymnasium.wrappers.TimeAwareObservation)
    for wrapper in wrappers:
        env = wrapper(case.make())
        for outcome in rollout(env, STEPS, seed=4):
            if outcome[0] not in env.observation_space:
                raise AssertionError(
                    f"{env}: observation {outcome[0]!r} is not in {env.observation_space}"
                )
        env.close()


def stable_baselines3(case: Case) -> None:
    """Stable-Baselines3's checker, if it is installed and knows the spaces."""
    if find_spec("stable_baselines3") is None or not _sb3_knows(case.make()):
        return
    from stable_baselines3.common.env_checker import check_env as sb3_check_env

    sb3_check_env(case.make(), warn=True)


def _sb3_knows(env: gymnasium.Env[Any, Any]) -> bool:
    """No nested Dict and no Tuple, which Stable-Baselines3 does not take."""
    compound = (gymnasium.spaces.Dict, gymnasium.spaces.Tuple)
    observation = env.observation_space
    parts = (
        list(observation.values())
        if isinstance(observation, gymnasium.spaces.Dict)
        else [observation]
    )
    return not any(isinstance(space, compound) for space in [*parts, env.action_space])


SINGLE: dict[str, Callable[[Case], None]] = {
    check.__name__: check
    for check in (
        gymnasium_checker,
        passive_checker,
        python_scalars,
        determinism,
        pickling,
        spec_round_trip,
        rendering,
        closing,
        time_limit,
        seeding,
        typed_errors,
        wrapping,
        stable_baselines3,
    )
}
