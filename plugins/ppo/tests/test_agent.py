from __future__ import annotations

import dataclasses
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces

from tropism.agents.contract import Task
from tropism.agents.counting import CountingTask
from tropism.agents.evaluate import evaluate
from tropism.errors import UnsupportedTaskError
from tropism_ppo.agent import PPOAgent
from tropism_ppo.recurrent import RecurrentPPOAgent

BOTH = pytest.mark.parametrize("agent_type", [PPOAgent, RecurrentPPOAgent])
CREDIT = Task("tropism/Sanity-Credit-v0")
SMALL: dict[str, Any] = {"n_envs": 4, "n_steps": 8, "batch_size": 16, "n_epochs": 1}


def build(agent_type=PPOAgent, seed=0, **config):
    return agent_type(agent_type.Config(**config), seed)


def mean_score(policy, task, episodes=20):
    return np.mean([e.score for e in evaluate(policy, task, range(10_000, 10_000 + episodes))])


def weights(policy):
    return torch.cat([value.flatten() for value in policy.network.state_dict().values()])


@pytest.mark.parametrize("capability", ["Credit", "Dict"])
def test_ppo_learns_in_seconds(capability, train):
    task = Task(f"tropism/Sanity-{capability}-v0")
    agent = build(learning_rate=3e-3, n_steps=64)
    before, after = (train(agent, task, steps) for steps in (0, 8000))
    solved = gymnasium.spec(task.env_id).reward_threshold or 0
    assert mean_score(before, task) < 0.8 * solved
    assert mean_score(after, task) >= solved


def test_memory_needs_the_recurrent_agent(train):
    task = Task("tropism/Sanity-Memory-v0")
    assert mean_score(train(build(RecurrentPPOAgent), task, 12_000), task, 64) > 0.95
    assert mean_score(train(build(), task, 12_000), task, 64) < 0.75


@pytest.mark.slow
@pytest.mark.parametrize(("tier", "at_least"), [("Switch", 800), ("Affine", 400), ("Fast", 350)])
def test_tokens_teach_what_raw_numbers_do_not(tier, at_least, train):
    task = Task(f"tropism/PatternWorld-{tier}-v0", {"flat": True})
    assert mean_score(train(build(), task, 120_000), task) > at_least
    assert mean_score(train(build(encoding="raw"), task, 120_000), task) < 100


@BOTH
@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("channels_first", [False, True])
def test_pictures_go_through_a_cnn(agent_type, nested, channels_first, train, register, pictures):
    task = Task(register(pictures, nested=nested, channels_first=channels_first))
    policy = train(build(agent_type, **SMALL, normalize_observation=True), task, 64)
    assert any("cnn" in name for name in policy.network.state_dict())
    assert len(evaluate(policy, task, [1, 2])) == 2


def test_the_cnn_learns(train, register, pictures):
    task = Task(register(pictures))
    assert (
        mean_score(train(build(learning_rate=1e-3, n_steps=64, n_epochs=4), task, 2048), task) > 11
    )


ACTIONS = {
    "discrete": spaces.Discrete(3),
    "multi-discrete": spaces.MultiDiscrete([2, 3]),
    "multi-binary": spaces.MultiBinary(3),
    "box": spaces.Box(-1.0, np.array([1.0, 2.0], np.float32), dtype=np.float32),
}


@BOTH
@pytest.mark.parametrize("deterministic", [False, True])
@pytest.mark.parametrize("action_space", ACTIONS.values(), ids=ACTIONS)
def test_every_kind_of_action(agent_type, deterministic, action_space, train, register, echo):
    task = Task(register(lambda: echo(spaces.MultiDiscrete([3, 4]), action_space)))
    policy = train(build(agent_type, **SMALL, deterministic=deterministic), task, 64)
    (episode,) = evaluate(policy, task, [1])
    assert episode.score == 5.0
    assert (episode.compute == 1).all()


def test_log_probabilities_belong_to_the_action(train):
    task = Task("tropism/PatternWorld-Hop-v0")
    policy = train(build(**SMALL), task, 64)
    policy.reset(np.ones(3, bool), np.arange(3, dtype=np.uint64))
    observation, info = task.make_vec(3).reset(seed=0)
    decision = policy.act(observation, info)
    assert decision.log_probs.dtype == np.float32
    np.testing.assert_allclose(np.exp(decision.log_probs).sum(1), 1, rtol=1e-5)
    np.testing.assert_array_equal(decision.log_probs.argmax(1), decision.action)


def test_samples_follow_the_distribution_and_the_seed(train):
    task = Task("tropism/PatternWorld-Hop-v0")
    policy = train(build(**SMALL, deterministic=False), task, 64)
    lanes = 4000
    observation, info = task.make_vec(1).reset(seed=0)
    batch = {key: np.repeat(part, lanes, 0) for key, part in observation.items()}
    drawn = []
    for _ in range(2):
        policy.reset(np.ones(lanes, bool), np.arange(lanes, dtype=np.uint64))
        drawn.append(policy.act(batch, info))
    np.testing.assert_array_equal(drawn[0].action, drawn[1].action)
    shares = np.bincount(drawn[0].action, minlength=8) / lanes
    np.testing.assert_allclose(shares, np.exp(drawn[0].log_probs[0]), atol=0.03)


@BOTH
@pytest.mark.parametrize("env_steps", [0, 1, 2, 7, 100, 1000])
def test_the_budget_is_kept(agent_type, env_steps, train):
    counted = CountingTask.of(CREDIT)
    train(build(agent_type, n_epochs=1), counted, env_steps)
    assert counted.usage.env_steps <= env_steps
    assert counted.usage.env_steps >= env_steps * 0.8 - 1


def test_a_wall_limit_stops_between_rollouts(train):
    counted = CountingTask.of(CREDIT)
    policy = train(build(**SMALL), counted, 10**7, wall_s=0.3)
    assert 0 < counted.usage.env_steps < 10**6
    assert mean_score(policy, CREDIT) >= 0


@BOTH
def test_the_seed_decides_everything(agent_type, train):
    torch.manual_seed(1)
    first = weights(train(build(agent_type, 3, **SMALL), CREDIT, 128))
    torch.manual_seed(2)
    state = torch.get_rng_state()
    again = weights(train(build(agent_type, 3, **SMALL), CREDIT, 128))
    other = weights(train(build(agent_type, 4, **SMALL), CREDIT, 128))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), state)


def test_training_seeds_stay_in_their_range(train, register, echo):
    seen = []

    class Noting(echo):
        def reset(self, *, seed=None, options=None):
            seen.append(seed)
            return super().reset(seed=seed, options=options)

    name = register(lambda: Noting(spaces.Discrete(2), spaces.Discrete(2)))
    task = Task(name, train_seeds=(50, 60), test_seeds=(60, 70))
    train(build(**SMALL, checkpoint_every=32), task, 96)
    given = [seed for seed in seen if seed is not None]
    assert len(given) == 3 * 4
    assert all(50 <= seed < 60 for seed in given)


def test_what_ppo_cannot_play_is_said(train, register, echo):
    wrong = {
        "bounds": (spaces.Discrete(2), spaces.Box(-np.inf, np.inf, (1,), np.float32)),
        "from 0": (spaces.Discrete(2), spaces.Discrete(2, start=1)),
        "Tuple": (spaces.Tuple([spaces.Discrete(2)]), spaces.Discrete(2)),
        "Text": (spaces.Discrete(2), spaces.Text(3)),
    }
    for hint, pair in wrong.items():
        task = Task(register(lambda pair=pair: echo(*pair)))
        assert hint in (build().supports(task) or "")
        with pytest.raises(UnsupportedTaskError, match=hint):
            train(build(), task, 10)
    reason = build().supports(dataclasses.replace(CREDIT, agents=("a", "b")))
    assert "single-agent" in (reason or "")
