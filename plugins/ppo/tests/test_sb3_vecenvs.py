"""Stable-Baselines3's own vectors take the suite's environments, in this process and in others."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv

# With its module, so that a process that has imported nothing finds the id.
SWITCH = "tropism.envs:tropism/PatternWorld-Switch-v0"


def lane() -> gymnasium.Env[Any, Any]:
    return Monitor(gymnasium.make(SWITCH, feedback="bandit", max_episode_steps=5))


def test_lanes_in_processes_play_as_lanes_in_this_one():
    lanes = [lane, lane]
    ours, theirs = SubprocVecEnv(lanes), DummyVecEnv(lanes)
    try:
        for venv in (ours, theirs):
            venv.seed(5)
        same(ours.reset(), theirs.reset())
        finished = 0
        for action in np.random.default_rng(0).integers(0, 100, (12, 2)):
            (seen, reward, done, infos), expected = ours.step(action), theirs.step(action)
            same(seen, expected[0])
            np.testing.assert_array_equal(reward, expected[1])
            np.testing.assert_array_equal(done, expected[2])
            for info, other in zip(infos, expected[3], strict=True):
                assert info["target"] == other["target"]
                assert info["TimeLimit.truncated"] is other["TimeLimit.truncated"]
            for n in np.flatnonzero(done):
                same(infos[n]["terminal_observation"], expected[3][n]["terminal_observation"])
                assert infos[n]["episode"]["l"] == 5
                finished += 1
        assert finished == 4
    finally:
        ours.close()


def same(one, other):
    assert set(one) == set(other) == {"history", "prev_action", "prev_reward", "query_k"}
    for name, part in one.items():
        np.testing.assert_array_equal(part, other[name], err_msg=name)
