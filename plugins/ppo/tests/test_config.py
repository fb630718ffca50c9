from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tropism.agents.contract import Budget, Task
from tropism.agents.options import build_config
from tropism.errors import OptionError, UnknownNameError
from tropism_ppo.config import PPOConfig, RecurrentPPOConfig
from tropism_ppo.presets import make_plan, resolve

SWITCH = Task("tropism/PatternWorld-Switch-v0")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("n_envs", 0),
        ("n_envs", 2.5),
        ("n_steps", -1),
        ("batch_size", 1),
        ("n_epochs", True),
        ("learning_rate", 0.0),
        ("gamma", 1.01),
        ("gae_lambda", -0.1),
        ("ent_coef", "high"),
        ("threads", 0),
        ("window", 0),
        ("checkpoint_every", 0),
        ("net_arch", (64, 0)),
        ("value_arch", (1.5,)),
    ],
)
def test_values_out_of_range_are_named(field, value):
    with pytest.raises(OptionError, match=f"^{field} must .*got {re.escape(repr(value))}$"):
        PPOConfig(**{field: value})


def test_names_that_do_not_exist_are_answered_with_the_nearest():
    with pytest.raises(UnknownNameError, match="'one-hot'"):
        PPOConfig(encoding="onehot")
    with pytest.raises(UnknownNameError, match="'relu'"):
        PPOConfig(activation="rely")
    with pytest.raises(UnknownNameError, match="'learning_rate'"):
        build_config(PPOConfig, {"learning_rat": 1}, owner="agent 'ppo'")
    with pytest.raises(OptionError, match="lstm_size"):
        RecurrentPPOConfig(lstm_size=0)


def test_lists_of_json_become_layers():
    assert build_config(PPOConfig, {"net_arch": [32, 16]}, owner="x").net_arch == (32, 16)


def test_open_settings_are_chosen_for_the_task():
    chosen = resolve(PPOConfig(gamma=0.5), SWITCH, Budget(100_000))
    assert (chosen.n_envs, chosen.n_steps, chosen.window, chosen.gamma) == (64, 16, 3, 0.5)
    closed = Task("tropism/PatternWorld-Affine-v0", {"feedback": "closed"})
    assert resolve(PPOConfig(), closed, Budget(100_000)).gamma == 0.99
    slow = resolve(PPOConfig(), Task("CartPole-v1", num_envs=4), Budget(100_000))
    assert (slow.n_envs, slow.n_steps) == (4, 512)
    assert resolve(RecurrentPPOConfig(), Task("CartPole-v1"), Budget(100_000)).n_epochs == 5
    assert None not in vars(resolve(RecurrentPPOConfig(), SWITCH, Budget(0))).values()


@given(st.integers(0, 5000), st.integers(1, 70), st.integers(1, 300), st.integers(2, 600))
def test_a_plan_never_overdraws_and_wastes_little(env_steps, n_envs, n_steps, batch_size):
    config = PPOConfig(n_envs=n_envs, n_steps=n_steps, batch_size=batch_size)
    plan = make_plan(resolve(config, SWITCH, Budget(env_steps)), Budget(env_steps))
    spent = plan.rollouts * plan.rollout
    assert spent <= env_steps
    assert plan.rollout % plan.batch_size == 0
    assert 2 <= plan.batch_size <= plan.rollout
    assert plan.batch_size <= batch_size or plan.batch_size == plan.rollout
    assert env_steps - spent < plan.rollout
