"""The wrapper that lays the ideal observer's belief beside somebody else's play."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

import tropism.envs  # noqa: F401  registers the ids
from tropism.envs.core.wrappers import HideLabels, HideVectorLabels
from tropism.envs.patternworld.observer_replay import IdealBelief, entropy, replay_belief
from tropism.envs.patternworld.params import make_params
from tropism.errors import UnsupportedTaskError


def test_the_wrapper_adds_the_belief_and_changes_nothing_else():
    plain = gym.make("tropism/PatternWorld-Noisy-v0")
    wrapped = IdealBelief(gym.make("tropism/PatternWorld-Noisy-v0", flat=True))
    plain.reset(seed=7)
    _, info = wrapped.reset(seed=7)
    right = 0
    for _ in range(300):
        belief = info["belief"]
        assert np.isclose(belief["probs"].sum(), 1.0)
        assert np.isclose(belief["rule"].sum(), 1.0)
        assert belief["entropy"] == pytest.approx(float(entropy(belief["probs"])))
        action = belief["argmax"]
        right += action == info["target"]
        _, reward, *_, expected = plain.step(action)
        _, own_reward, *_, info = wrapped.step(action)
        assert own_reward == reward
        assert {name: info[name] for name in expected} == expected
    assert right > 220


def test_the_wrapper_tells_what_each_observation_told_as_the_replay_does():
    env = IdealBelief(gym.make("tropism/PatternWorld-Noisy-v0"))
    _, info = env.reset(seed=7)
    told, actions = [], []
    for _ in range(60):
        told.append(info["belief"]["belief_kl"])
        actions.append(info["belief"]["argmax"])
        info = env.step(actions[-1])[4]
    assert told[0] == 0.0
    assert max(told) > 0.1
    expected = replay_belief(make_params("Noisy"), [7], np.array([actions]))["belief_kl"][0]
    assert np.allclose(told, expected)
    assert env.reset(seed=8)[1]["belief"]["belief_kl"] == 0.0


@pytest.mark.parametrize("hidden_first", [False, True])
def test_the_belief_is_a_label_and_is_hidden_with_the_others(hidden_first):
    env = gym.make("tropism/PatternWorld-Noisy-v0")
    if hidden_first:  # a wrapper outside shows what it adds
        env = IdealBelief(HideLabels(env))
        assert set(env.reset(seed=0)[1]) == set(env.step(0)[4]) == {"belief"}
    else:
        env = HideLabels(IdealBelief(env))
        assert env.reset(seed=0)[1] == env.step(0)[4] == {}
    assert env.metadata["labels"][-1] == "belief"
    assert "belief" not in env.unwrapped.metadata["labels"]


def test_the_belief_of_lanes_is_hidden_too():
    def lane():
        return IdealBelief(gym.make("tropism/PatternWorld-Noisy-v0", max_episode_steps=2))

    env = gym.vector.SyncVectorEnv([lane, lane], autoreset_mode=AutoresetMode.SAME_STEP)
    assert env.reset(seed=0)[1]["belief"]["probs"].shape == (2, 97)
    hidden = HideVectorLabels(env)
    assert hidden.reset(seed=0)[1] == hidden.step(np.zeros(2, np.int64))[4] == {}
    assert hidden.step(np.zeros(2, np.int64))[4]["final_info"] == {}


def test_the_wrapper_refuses_other_environments():
    with pytest.raises(UnsupportedTaskError, match="PatternWorld"):
        IdealBelief(gym.make("CartPole-v1"))
