"""The dynamics of PatternWorld against closed forms, counts and the origin."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import InvalidAction, ResetNeeded

import tropism.envs
from tropism.agents.contract import Task
from tropism.envs.patternworld.env import PatternWorldEnv
from tropism.envs.patternworld.params import TIERS, make_params
from tropism.envs.patternworld.rules import library
from tropism.errors import OptionError, UnknownNameError


@pytest.mark.parametrize("feedback", ["bandit", "probe"])
def test_masked_feedback_shows_no_answer_but_a_peeked_one(feedback):
    env = gym.make("tropism/PatternWorld-Affine-v0", feedback=feedback)
    _, info = env.reset(seed=0)
    seen, reward, *_ = env.step(info["target"])
    assert (reward, int(seen["history"][-1])) == (1.0, 97)
    if feedback == "probe":
        target = env.unwrapped.reference.target
        seen, reward, *_ = env.step(97)
        assert reward == np.float32(-0.2)
        assert int(seen["history"][-1]) == target


def test_closed_feedback_feeds_the_answer_back():
    env = gym.make("tropism/PatternWorld-Affine-v0", feedback="closed")
    env.reset(seed=0, options={"rule": 1, "dwell": 1000})
    table = library(TIERS["Affine"]).table[1, 0]
    for answer in (5, 50, 13):
        seen, *_, info = env.step(answer)
        assert int(seen["history"][-1]) == answer
        assert info["target"] == table[answer]


def test_reward_is_right_wrong_or_peek():
    env = gym.make("tropism/PatternWorld-Seed-v0")
    _, info = env.reset(seed=0)
    assert env.step(info["target"])[1] == 1.0
    assert env.step(99)[1] == np.float32(-0.1)


def test_flat_and_dictionary_show_the_same():
    flat, plain = (gym.make("tropism/PatternWorld-Hop-v0", flat=f) for f in (True, False))
    one, other = flat.reset(seed=1)[0], plain.reset(seed=1)[0]
    for action in (3, 1, 4, 1, 5):
        np.testing.assert_array_equal(one[:64], other["history"])
        assert one[64:].tolist() == [
            other["prev_action"],
            other["prev_reward"][0],
            other["query_k"],
        ]
        one, other = flat.step(action)[0], plain.step(action)[0]


def test_history_buffer_survives_long_episodes():
    env = gym.make("tropism/PatternWorld-Hop-v0", max_episode_steps=-1, flat=True, history=9)
    other = gym.make("tropism/PatternWorld-Hop-v0", max_episode_steps=-1, history=9)
    one, two = env.reset(seed=1)[0], other.reset(seed=1)[0]
    for _ in range(9_000):
        one, two = env.step(1)[0], other.step(1)[0]
        np.testing.assert_array_equal(one[:9], two["history"])


@pytest.mark.parametrize("action", [97, -1, 1.5, "3", None, True, np.array([1, 2])])
def test_invalid_actions_are_named(action):
    env = gym.make("tropism/PatternWorld-Affine-v0").unwrapped
    env.reset(seed=0)
    with pytest.raises(InvalidAction, match=r"\[0, 97\)"):
        env.step(action)


@pytest.mark.parametrize(
    "batch", [[1, 2], [[1], [2], [3]], [1.0, 2.0, 3.0], [1, 97, 2], [1, -1, 2], ["a", "b", "c"]]
)
def test_invalid_batches_are_named(batch):
    env = gym.make_vec("tropism/PatternWorld-Affine-v0", 3)
    env.reset(seed=0)
    with pytest.raises(InvalidAction, match="actions must"):
        env.step(np.array(batch))


@pytest.mark.parametrize("seed", [1.5, -1, True])
def test_seeds_of_lanes_must_be_whole(seed):
    env = gym.make_vec("tropism/PatternWorld-Affine-v0", 2)
    with pytest.raises(gym.error.Error, match="integer >= 0"):
        env.reset(seed=[seed, 2])


def test_training_never_sees_the_rules_of_the_test():
    task = Task("tropism/PatternWorld-Heldout-v0")
    rules = [set(library(task.make(train=t).unwrapped.params).names) for t in (True, False)]
    assert not rules[0] & rules[1]
    assert task.make_vec(2, train=True).unwrapped.params.split == "train"
    every = Task("tropism/PatternWorld-Heldout-v0", {"split": "all"})
    assert every.make(train=True).unwrapped.params.split == "all"


def test_steps_out_of_order_are_refused():
    with pytest.raises(ResetNeeded, match="reset"):
        gym.make("tropism/PatternWorld-Affine-v0").unwrapped.step(0)
    env = gym.make_vec("tropism/PatternWorld-Affine-v0", 2)
    with pytest.raises(ResetNeeded, match="reset"):
        env.step(np.zeros(2, int))
    env = gym.make_vec(
        "tropism/PatternWorld-Affine-v0", 2, autoreset_mode="DISABLED", max_episode_steps=1
    )
    env.reset(seed=0)
    env.step(np.zeros(2, int))
    with pytest.raises(ResetNeeded, match=r"lanes \[0, 1\]"):
        env.step(np.zeros(2, int))


@pytest.mark.parametrize(
    ("kwargs", "error", "message"),
    [
        ({"hazard": 0}, OptionError, r"hazard must be a number in \[0.001, 1.0\], got 0"),
        ({"hazard": "high"}, OptionError, "hazard"),
        ({"noise": 1.5}, OptionError, "noise"),
        ({"history": 0}, OptionError, "history"),
        ({"feedback": "reveall"}, UnknownNameError, "'reveal'"),
        ({"schedule": "periodical"}, UnknownNameError, "'periodic'"),
        ({"hazrad": 0.1}, UnknownNameError, "'hazard'"),
        ({"agreement": 3}, OptionError, "Alias"),
        ({"num_rules": 4, "active_rules": 6}, OptionError, "active_rules=6"),
        ({"tier": "Switch", "active_rules": 2}, OptionError, "active_rules=2"),
        ({"tier": "Order2", "num_rules": 0}, OptionError, "num_rules=0"),
        ({"flat": "no"}, OptionError, "flat must be true or false"),
        ({"reward_right": 2.0}, OptionError, "reward_right"),
        ({"reward_wrong": 1.0}, OptionError, "must exceed"),
        ({"first_token": [5, 97]}, OptionError, r"\[5, 97\]"),
    ],
)
def test_bad_options_are_named(kwargs, error, message):
    with pytest.raises(error, match=message):
        gym.make("tropism/PatternWorld-Affine-v0", **kwargs).reset()


def test_unknown_render_modes_suggest_the_nearest():
    with pytest.raises(UnknownNameError, match="rgb_array"):
        PatternWorldEnv(render_mode="rgb")


def test_unknown_tiers_and_ids_suggest_the_nearest():
    with pytest.raises(UnknownNameError, match="'Switch'"):
        make_params("Swich")
    with pytest.raises(gym.error.NameNotFound, match="PatternWorld-Switch"):
        gym.make("tropism/PatternWorld-Swich-v0")
    with pytest.raises(UnknownNameError, match="PatternWorld-Switch"):
        tropism.envs.make_functional("tropism/PatternWorld-Swich-v0")


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"tokn": 1}, UnknownNameError),
        ({"token": 97}, OptionError),
        ({"dwell": 0}, OptionError),
        ({"rule": 1.5}, OptionError),
    ],
)
@pytest.mark.parametrize("vector", [False, True])
def test_bad_reset_options_are_named(options, error, vector):
    env = (
        gym.make_vec("tropism/PatternWorld-Affine-v0", 2)
        if vector
        else gym.make("tropism/PatternWorld-Affine-v0")
    )
    with pytest.raises(error):
        env.reset(seed=0, options=options)
