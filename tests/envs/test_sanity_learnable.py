"""Stable-Baselines3 solves each sanity environment in seconds: an agent that fails one has itself to blame."""

from __future__ import annotations

from typing import Any

import gymnasium
import pytest

import tropism.envs  # noqa: F401  registers the ids

pytestmark = pytest.mark.slow


def _train(env_id: str, steps: int, recurrent: bool) -> tuple[Any, Any]:
    torch = pytest.importorskip("torch")
    sb3, contrib = pytest.importorskip("stable_baselines3"), pytest.importorskip("sb3_contrib")
    from stable_baselines3.common.env_util import make_vec_env

    torch.set_num_threads(1)
    envs = make_vec_env(env_id, 8, seed=0)
    common = {"n_steps": 128, "batch_size": 256, "learning_rate": 1e-3, "seed": 0, "device": "cpu"}
    if recurrent:
        lstm = {"lstm_hidden_size": 32, "shared_lstm": True, "enable_critic_lstm": False}
        model = contrib.RecurrentPPO("MlpLstmPolicy", envs, policy_kwargs=lstm, **common)
    else:
        parts = isinstance(envs.observation_space, gymnasium.spaces.Dict)
        model = sb3.PPO("MultiInputPolicy" if parts else "MlpPolicy", envs, **common)
    return model.learn(steps), envs


def _score(model: Any, envs: Any, deterministic: bool) -> float:
    from stable_baselines3.common.evaluation import evaluate_policy

    return float(evaluate_policy(model, envs, 200, deterministic=deterministic)[0])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "steps", "deterministic"),
    [
        ("Credit", 30_000, True),
        ("Continuous", 30_000, True),
        ("Dict", 20_000, True),
        ("MultiDiscrete", 20_000, True),
        ("Stochastic", 40_000, False),  # played as the mixed strategy it is
    ],
)
def test_ppo_solves_it(name: str, steps: int, deterministic: bool) -> None:
    env_id = f"tropism/Sanity-{name}-v0"
    model, envs = _train(env_id, steps, recurrent=False)
    assert (
        _score(model, envs, deterministic) >= (gymnasium.spec(env_id).reward_threshold or 0) - 0.1
    )


def test_memory_takes_a_recurrent_policy() -> None:
    env_id = "tropism/Sanity-Memory-v0"
    assert _score(*_train(env_id, 30_000, recurrent=True), deterministic=True) >= 0.95
    assert _score(*_train(env_id, 30_000, recurrent=False), deterministic=True) < 0.65


def test_a_deterministic_reading_of_the_mixed_strategy_is_visibly_worse() -> None:
    model, envs = _train("tropism/Sanity-Stochastic-v0", 40_000, recurrent=False)
    assert _score(model, envs, deterministic=True) < 0.5 * _score(model, envs, deterministic=False)
