"""Training environments for a task: a vector in SAME_STEP auto-reset, whoever wrote the environment."""

from __future__ import annotations

import inspect

import gymnasium
import numpy as np
from gymnasium.envs.registration import load_env_creator
from gymnasium.vector import AutoresetMode

from tropism.agents.contract import Task
from tropism_ppo.encoding import Encoder
from tropism_ppo.vecenv import NativeVecEnv


def has_vector_class(task: Task) -> bool:
    """Whether one call steps all lanes: the id has a vector class, and it can reset in the same step."""
    import tropism.envs  # noqa: F401  registers the ids

    entry = gymnasium.spec(task.env_id).vector_entry_point
    if entry is None:
        return False
    creator = load_env_creator(entry) if isinstance(entry, str) else entry
    return "autoreset_mode" in inspect.signature(creator).parameters


def make_lanes(task: Task, num_envs: int, encoder: Encoder) -> NativeVecEnv:
    """``num_envs`` training lanes with encoded observations."""
    mode = AutoresetMode.SAME_STEP
    if has_vector_class(task):
        vector_env = task.make_vec(num_envs, train=True, autoreset_mode=mode)
    else:
        one_by_one = {"vectorization_mode": "sync", "vector_kwargs": {"autoreset_mode": mode}}
        vector_env = task.make_vec(num_envs, train=True, **one_by_one)
    return NativeVecEnv(vector_env, encoder, encoder.space)


def lane_seeds(task: Task, num_envs: int, rng: np.random.Generator) -> list[int]:
    """A training seed for each lane, different ones while the task has enough."""
    first, stop = task.train_seeds
    replace = stop - first < num_envs
    return (first + rng.choice(stop - first, size=num_envs, replace=replace)).tolist()
