from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from safetensors import safe_open

from tropism.agents.contract import Task
from tropism.agents.evaluate import evaluate
from tropism.agents.runs import Run, read_metrics
from tropism.errors import ArtifactError
from tropism_ppo.agent import PPOAgent
from tropism_ppo.recurrent import RecurrentPPOAgent

SMALL: dict[str, Any] = {"n_envs": 4, "n_steps": 8, "batch_size": 16, "n_epochs": 2}
NORMALIZED: dict[str, Any] = {"normalize_observation": True, "normalize_reward": True}
CARTPOLE = Task("CartPole-v1")

TRAINING = """
import sys
from tropism.agents.contract import Budget, Task
from tropism.agents.runs import Run
from tropism_ppo.agent import PPOAgent

config = PPOAgent.Config(**{config})
with Run(sys.argv[1], {{"seed": 0}}) as run:
    PPOAgent(config, 0).train(Task("CartPole-v1"), Budget({steps}), run)
"""


def build(agent_type=PPOAgent, seed=0, **config):
    return agent_type(agent_type.Config(**config), seed)


def hashes(policy, task):
    return [episode.action_hash for episode in evaluate(policy, task, [1, 2, 3])]


def assert_same_weights(first, second):
    for (name, a), b in zip(
        first.network.state_dict().items(), second.network.state_dict().values(), strict=True
    ):
        assert torch.equal(a, b), name


@pytest.mark.parametrize("deterministic", [False, True])
@pytest.mark.parametrize("agent_type", [PPOAgent, RecurrentPPOAgent])
def test_a_loaded_policy_acts_the_same(agent_type, deterministic, train, tmp_path):
    config: dict[str, Any] = SMALL | NORMALIZED | {"deterministic": deterministic}
    policy = train(build(agent_type, **config), CARTPOLE, 256)
    policy.save(tmp_path)
    loaded = agent_type.load(tmp_path, CARTPOLE)
    assert hashes(loaded, CARTPOLE) == hashes(policy, CARTPOLE)
    assert_same_weights(loaded, policy)
    assert loaded.config == policy.config


def test_statistics_of_observations_are_stored_and_applied(train, tmp_path):
    policy = train(build(**SMALL, normalize_observation=True), CARTPOLE, 256)
    policy.save(tmp_path)
    with safe_open(tmp_path / "policy.safetensors", "numpy") as file:
        variance = file.get_tensor("normalization.var.")
    assert variance.shape == (4,)
    assert (variance != 1).all()
    policy.reset(np.ones(1, bool), np.zeros(1, np.uint64))
    loaded = PPOAgent.load(tmp_path, CARTPOLE)
    scaled = loaded._normalization(np.full((1, 4), 0.02, np.float32))
    assert not np.allclose(scaled, 0.02)


def test_files_hold_no_pickle(train, tmp_path):
    train(build(**SMALL, **NORMALIZED), CARTPOLE, 64, directory=tmp_path)
    files = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert {"policy.json", "policy.safetensors", "training.json", "training.safetensors"} <= files
    assert {os.path.splitext(name)[1] for name in files} <= {".json", ".jsonl", ".safetensors", ""}
    assert not any(
        path.read_bytes().startswith(b"\x80\x04")
        for path in tmp_path.rglob("*.*")
        if path.is_file()
    )


def damage(directory, kind):
    weights, facts = directory / "policy.safetensors", directory / "policy.json"
    if kind == "truncated weights":
        weights.write_bytes(weights.read_bytes()[:-8])
    elif kind == "edited weights":
        data = bytearray(weights.read_bytes())
        data[-1] ^= 1
        weights.write_bytes(data)
    elif kind == "no weights":
        weights.unlink()
    elif kind == "no facts":
        facts.unlink()
    elif kind == "truncated facts":
        facts.write_bytes(facts.read_bytes()[:40])
    else:
        facts.write_text(json.dumps(json.loads(facts.read_text()) | {"format": 99}))


@pytest.mark.parametrize(
    "kind",
    [
        "truncated weights",
        "edited weights",
        "no weights",
        "no facts",
        "truncated facts",
        "format 99",
    ],
)
def test_damage_is_refused(kind, train, tmp_path):
    train(build(**SMALL), CARTPOLE, 32).save(tmp_path)
    damage(tmp_path, kind)
    with pytest.raises(ArtifactError, match="policy"):
        PPOAgent.load(tmp_path, CARTPOLE)


def test_another_task_or_algorithm_is_refused(train, tmp_path, register, echo):
    train(build(**SMALL), CARTPOLE, 32).save(tmp_path)
    task = Task(register(lambda: echo(spaces.Discrete(2), spaces.Discrete(2))))
    with pytest.raises(ArtifactError, match="observation_space"):
        PPOAgent.load(tmp_path, task)
    with pytest.raises(ArtifactError, match="'ppo'"):
        RecurrentPPOAgent.load(tmp_path, CARTPOLE)


def test_a_killed_run_ends_with_the_same_weights(train, tmp_path):
    config: dict[str, Any] = SMALL | NORMALIZED | {"checkpoint_every": 320}
    program = TRAINING.format(config=config, steps=10**7)
    paths = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "run")], env=paths
    ) as process:
        checkpoints = tmp_path / "run" / "checkpoints"
        deadline = time.monotonic() + 60
        while len(list(checkpoints.glob("0*"))) < 2:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.kill()
    with Run(tmp_path / "run", {"seed": 0}) as run:
        reached = run.checkpoint_steps()[-1]
    assert reached >= 640
    resumed = train(build(**config), CARTPOLE, reached + 640, directory=tmp_path / "run")
    steps = [row["step"] for row in read_metrics(tmp_path / "run")]
    assert steps[-1] == reached + 640
    assert steps == sorted(steps)
    whole = train(build(**config), CARTPOLE, reached + 640)
    assert_same_weights(resumed, whole)
    assert hashes(resumed, CARTPOLE) == hashes(whole, CARTPOLE)


@pytest.mark.parametrize("agent_type", [PPOAgent, RecurrentPPOAgent])
def test_a_resumed_run_with_a_longer_budget_continues(agent_type, train, tmp_path):
    config: dict[str, Any] = SMALL | NORMALIZED | {"checkpoint_every": 64}
    train(build(agent_type, **config), CARTPOLE, 64, directory=tmp_path / "run")
    resumed = train(build(agent_type, **config), CARTPOLE, 192, directory=tmp_path / "run")
    assert_same_weights(resumed, train(build(agent_type, **config), CARTPOLE, 192))


def test_a_finished_run_is_not_trained_again(train, tmp_path):
    first = train(build(**SMALL), CARTPOLE, 64, directory=tmp_path)
    rows = read_metrics(tmp_path)
    for env_steps in (64, 32):
        assert_same_weights(first, train(build(**SMALL), CARTPOLE, env_steps, directory=tmp_path))
    assert read_metrics(tmp_path) == rows


def test_scalars_reach_the_run_and_tensorboard(train, tmp_path):
    pytest.importorskip("tensorboard")
    train(build(**SMALL, tensorboard=True), CARTPOLE, 128, directory=tmp_path)
    rows = read_metrics(tmp_path)
    assert {"rollout/ep_rew_mean", "train/value_loss", "time/fps"} <= rows[-2].keys()
    assert {"train/value_loss"} <= rows[-1].keys()
    assert list((tmp_path / "tensorboard").glob("events*"))
