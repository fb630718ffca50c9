from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from tropism.agents import Budget, PluginHost, Run, Task, agent_conformance
from tropism.agents.evaluate import evaluate
from tropism.agents.plugins import GROUP
from tropism.agents.runs import load_policy, read_metrics, save_policy
from tropism.errors import ArtifactError, OptionError
from tropism_example.agent import ExampleAgent, ExampleConfig
from tropism_example.table import Rows, TablePolicy

DICT = Task("tropism/Sanity-Dict-v0")


@pytest.fixture
def host():
    from importlib.metadata import EntryPoint

    return PluginHost([EntryPoint("example", "tropism_example", GROUP)], environ={})


def train(task, steps, directory, **config):
    with Run(directory, {"seed": 1}) as run:
        return ExampleAgent(ExampleConfig(**config), seed=1).train(
            task, Budget(env_steps=steps), run
        )


def mean_score(policy, task, episodes=20):
    seeds = range(task.test_seeds[0], task.test_seeds[0] + episodes)
    return np.mean([episode.score for episode in evaluate(policy, task, seeds)])


def test_it_is_listed(host):
    status = host.plugins()[1]
    assert (status.name, status.state) == ("example", "loaded")
    assert host.agents()["example"].summary
    assert host.agent_class("example") is ExampleAgent


def test_listing_it_imports_nothing_heavy():
    code = "import tropism_example, sys; assert not {'numpy', 'gymnasium', 'torch', 'jax'} & set(sys.modules)"
    environment = {"PYTHONPATH": ":".join(sys.path)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)


@pytest.mark.parametrize(
    "task",
    [
        Task("tropism/Sanity-Memory-v0"),
        DICT,
        Task("tropism/PatternWorld-Switch-v0", {"max_episode_steps": 50}),
        Task("CartPole-v1"),
    ],
    ids=lambda task: task.env_id,
)
def test_it_keeps_the_contract(host, task):
    agent_conformance("example", task, host=host)


def test_it_learns(tmp_path):
    assert mean_score(train(DICT, 0, tmp_path / "untrained"), DICT) < 11  # of 16; guessing scores 8
    assert mean_score(train(DICT, 8_000, tmp_path / "trained"), DICT) > 14


def test_it_says_what_it_cannot_do():
    reason = ExampleAgent().supports(Task("tropism/Sanity-Continuous-v0"))
    assert reason is not None
    assert reason.startswith("needs Discrete actions, not Box")


@pytest.mark.parametrize(
    "option", [{"learning_rate": 0}, {"discount": 1.5}, {"rows": 0}, {"temperature": -1.0}]
)
def test_it_refuses_settings_out_of_range(option):
    with pytest.raises(OptionError, match=next(iter(option))):
        ExampleConfig(**option)


def test_it_resumes_from_its_checkpoint(tmp_path):
    train(DICT, 1_000, tmp_path / "run", checkpoint_every=400)
    with Run(tmp_path / "run", {"seed": 1}) as run:
        assert run.checkpoint_steps() == [400, 800]
    train(DICT, 2_000, tmp_path / "run", checkpoint_every=400)
    with Run(tmp_path / "run", {"seed": 1}) as run:
        assert run.checkpoint_steps() == [400, 800, 1200, 1600, 2000]
    assert [row["step"] for row in read_metrics(tmp_path / "run")] == [400, 800, 1200, 1600, 2000]


def test_damaged_weights_are_refused(tmp_path):
    directory = save_policy(train(DICT, 100, tmp_path / "run"), tmp_path / "saved")
    assert isinstance(load_policy(ExampleAgent, directory, DICT), TablePolicy)
    with pytest.raises(ArtifactError, match="observation_space is"):
        ExampleAgent.load(directory, Task("CartPole-v1"))
    weights = directory / "values.npz"
    weights.write_bytes(weights.read_bytes()[:40])
    with pytest.raises(ArtifactError, match=r"values\.npz cannot be read"):
        ExampleAgent.load(directory, DICT)
    with pytest.raises(ArtifactError, match=r"'values\.npz' is edited or truncated"):
        load_policy(ExampleAgent, directory, DICT)


def test_rows_depend_on_content_only():
    rows = Rows(4096, cell=0.5)
    one = {"b": np.arange(6).reshape(2, 3), "a": np.array([1, 1])}
    other = {"a": np.array([1, 1, 0]), "b": np.array([[0, 1, 2], [3, 4, 5], [0, 1, 2]])}
    assert rows.of(one).tolist() == rows.of(other)[:2].tolist()
    assert len(set(rows.of(other).tolist())) == 3
    assert ((rows.of(other) >= 0) & (rows.of(other) < 4096)).all()


def test_real_numbers_share_a_row_within_a_cell():
    same, below, above = Rows(4096, cell=0.5).of(np.array([[0.1], [-0.1], [0.4]], np.float32))[
        [0, 1, 2]
    ]
    assert same == above != below
