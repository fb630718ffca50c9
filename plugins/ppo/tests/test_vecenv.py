from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from stable_baselines3 import A2C, DQN, PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import VecCheckNan, VecMonitor, VecNormalize

from tropism.errors import OptionError
from tropism_ppo.vecenv import NativeVecEnv

SWITCH = "tropism/PatternWorld-Switch-v0"
MODE = AutoresetMode.SAME_STEP


def make(env_id="CartPole-v1", lanes=3, **options):
    vector = gymnasium.make_vec(
        env_id, lanes, vectorization_mode="sync", vector_kwargs={"autoreset_mode": MODE}
    )
    return NativeVecEnv(vector, **options)


def make_switch(lanes=4, **kwargs):
    vector = gymnasium.make_vec(SWITCH, lanes, flat=True, autoreset_mode=MODE, **kwargs)
    return NativeVecEnv(vector)


def compare(ours, theirs, actions):
    """Play both from the same seeds and hold every array and info of an episode's end together."""
    for venv in (ours, theirs):
        venv.seed(5)
    np.testing.assert_array_equal(ours.reset(), theirs.reset())
    finished = 0
    for action in actions:
        mine, other = ours.step(action), theirs.step(action)
        for a, b in zip(mine[:3], other[:3], strict=True):
            np.testing.assert_array_equal(a, b)
            assert a.dtype == b.dtype
        for done, a, b in zip(mine[2], mine[3], other[3], strict=True):
            if done:
                finished += 1
                np.testing.assert_array_equal(a["terminal_observation"], b["terminal_observation"])
                assert a["TimeLimit.truncated"] == b["TimeLimit.truncated"]
                assert (a["episode"]["r"], a["episode"]["l"]) == (
                    b["episode"]["r"],
                    b["episode"]["l"],
                )
            else:
                assert a == {}
    return finished


def test_it_does_what_dummy_vec_env_does():
    rng = np.random.default_rng(0)
    theirs = make_vec_env("CartPole-v1", 3)
    assert compare(make(), theirs, rng.integers(2, size=(200, 3))) > 10


def test_our_vector_class_does_what_dummy_vec_env_does():
    theirs = make_vec_env(SWITCH, 4, env_kwargs={"flat": True})
    rng = np.random.default_rng(0)
    assert compare(make_switch(), theirs, rng.integers(100, size=(1005, 4))) == 4


def test_truncation_is_not_termination():
    venv = make_switch(max_episode_steps=3)
    venv.reset()
    infos = [venv.step(np.zeros(4, int))[3] for _ in range(3)][-1]
    assert all(info["TimeLimit.truncated"] for info in infos)


def test_no_label_comes_through():
    venv = make_switch(max_episode_steps=3)
    venv.reset()
    for _ in range(7):
        keys = {key for info in venv.step(np.zeros(4, int))[3] for key in info}
        assert keys <= {"terminal_observation", "TimeLimit.truncated", "episode"}


def test_dictionary_observations(register, echo):
    space = gymnasium.spaces.Dict(
        {"a": gymnasium.spaces.Discrete(3), "b": gymnasium.spaces.Box(0, 1, (2,))}
    )
    name = register(lambda: echo(space, gymnasium.spaces.Discrete(2)))
    venv: Any = make(name)
    assert venv.reset()["b"].shape == (3, 2)
    observation, _, done, infos = [venv.step(np.zeros(3, int)) for _ in range(5)][-1]
    assert observation["a"].shape == (3,)
    assert done.all()
    assert infos[0]["terminal_observation"].keys() == {"a", "b"}


def test_lanes_can_be_seeded_one_by_one():
    venv = make(lanes=2)
    venv.set_seeds([7, 7])
    first = venv.reset()
    np.testing.assert_array_equal(first[0], first[1])
    assert venv.seed(3) == [3, 4]
    with pytest.raises(OptionError, match="2 numbers"):
        venv.set_seeds([1])


def test_reset_options_reach_the_environment():
    venv = make_switch()
    venv.seed(0)
    venv.set_options({"token": 42})
    assert (venv.reset()[:, -4] == 42).all()
    venv.set_options([{"token": 1}, {}, {}, {}])
    with pytest.raises(OptionError, match="one set"):
        venv.reset()


def test_attributes_and_methods_of_separate_environments():
    venv = make()
    assert venv.get_attr("gravity") == [9.8] * 3
    venv.set_attr("gravity", 1.0, indices=[1])
    assert venv.get_attr("gravity") == [9.8, 1.0, 9.8]
    assert venv.env_method("get_wrapper_attr", "gravity", indices=1) == [1.0]
    assert venv.env_is_wrapped(gymnasium.wrappers.TimeLimit) == [True] * 3
    assert venv.env_is_wrapped(gymnasium.wrappers.FlattenObservation, indices=0) == [False]
    assert not venv.has_attr("nothing")


def test_attributes_of_lanes_that_are_one_object():
    venv = make_switch()
    assert [p.tier for p in venv.get_attr("params", [0, 1])] == ["Switch"] * 2
    venv.set_attr("nickname", "x")
    assert venv.get_attr("nickname", 2) == ["x"]
    assert venv.env_is_wrapped(gymnasium.Wrapper) == [False] * 4
    with pytest.raises(OptionError, match="all 4 lanes"):
        venv.set_attr("nickname", "y", indices=[0])
    with pytest.raises(OptionError, match="all 4 lanes"):
        venv.env_method("render", indices=0)


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.DISABLED])
def test_other_autoreset_modes_are_refused(mode):
    vector = gymnasium.make_vec(SWITCH, 2, autoreset_mode=mode)
    with pytest.raises(OptionError, match="SAME_STEP"):
        NativeVecEnv(vector)


def test_evaluate_policy_needs_no_monitor():
    venv = make_switch(max_episode_steps=20)
    assert venv.env_is_wrapped(Monitor) == [True] * 4
    model = PPO("MlpPolicy", venv, n_steps=16, batch_size=16)
    result: Any = evaluate_policy(model, venv, n_eval_episodes=4, return_episode_rewards=True)
    assert result[1] == [20] * 4


def test_the_wrappers_of_sb3_fit_around_it():
    plain = make(episode_statistics=False)
    venv = VecNormalize(VecMonitor(VecCheckNan(plain, raise_exception=True)))
    venv.reset()
    finished = [info for _ in range(60) for info in venv.step(np.zeros(3, int))[3] if info]
    assert finished
    assert all(info["episode"]["l"] < 20 for info in finished)
    assert np.abs(finished[0]["terminal_observation"]).max() <= 10


@pytest.mark.parametrize("algorithm", [PPO, A2C, DQN])
def test_algorithms_of_sb3_learn_on_it(algorithm):
    model = algorithm("MlpPolicy", make_switch(max_episode_steps=20), seed=0)
    model.learn(256)
    assert model.ep_info_buffer
    assert model.ep_info_buffer[0]["l"] == 20
