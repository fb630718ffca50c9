from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tropism.agents.conformance import agent_conformance
from tropism.agents.contract import Task
from tropism.agents.evaluate import evaluate
from tropism.agents.hygiene import pickles_in
from tropism.agents.runs import load_policy, save_policy
from tropism.errors import ArtifactError, UnsupportedTaskError
from tropism_council.agent import CouncilAgent
from tropism_council.config import CouncilConfig

SMALL: dict[str, Any] = {
    "width": 16,
    "layers": 1,
    "heads": 2,
    "window": 24,
    "slots": 4,
    "voices": 2,
    "ponder_steps": 2,
    "lanes": 16,
    "stretch": 16,
    "questions": 4,
    "threads": 1,
}


@pytest.fixture
def agent():
    return CouncilAgent(CouncilConfig(**SMALL), 0)


def short(name, steps=40, **kwargs):
    return Task(f"tropism/PatternWorld-{name}-v0", {"max_episode_steps": steps, **kwargs})


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A policy that sometimes thinks, and where it is saved."""
    from tropism.agents.contract import Budget
    from tropism.agents.runs import Run

    directory = tmp_path_factory.mktemp("trained")
    agent = CouncilAgent(replace(CouncilConfig(**SMALL), lanes=32, share=0.4), 0)
    with Run(directory / "run", {"seed": 0}) as run:
        policy = agent.train(short("Hop", 300), Budget(5200), run)
    return policy, save_policy(policy, directory / "saved")


# -- the contract -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["Switch", "Hop"])
@pytest.mark.filterwarnings("ignore:a budget of:UserWarning")
def test_it_passes_the_conformance_suite(host, name):
    passed = agent_conformance("council", short(name), host=host, config=SMALL, probes=())
    assert {"training_is_deterministic", "lanes_are_independent", "reset_forgets"} <= set(passed)


@pytest.mark.parametrize(
    ("task", "reason"),
    [
        (short("Switch", flat=True), "dictionary observations: leave out flat=True"),
        (short("Hop", history=12), "history is 12, give 20 or more"),
        (Task("tropism/Chemotaxis-Shared-v0", agents=("a", "b")), "single-agent environments"),
    ],
)
def test_what_it_cannot_do_is_refused_with_the_reason(agent, train, task, reason):
    assert reason in agent.supports(task)
    with pytest.raises(UnsupportedTaskError, match=f"council cannot run {task.env_id}: .*{reason}"):
        train(agent, task, 100)


@pytest.mark.parametrize(
    "name",
    ["Seed", "Switch", "Affine", "Noisy", "Fast", "Order2", "Heldout", "Recur", "Alias", "Hop"],
)
def test_every_tier_of_patternworld_is_supported(agent, name):
    assert agent.supports(short(name)) is None


@pytest.mark.filterwarnings("ignore:a budget of:UserWarning")
def test_another_seed_is_another_policy(train):
    scores = [
        train(CouncilAgent(CouncilConfig(**SMALL), seed), short("Switch"), 600)[
            0
        ].network.state_dict()
        for seed in (0, 0, 1)
    ]
    key = "head.weight"
    assert scores[0][key].equal(scores[1][key])
    assert not scores[0][key].equal(scores[2][key])


# -- on disk ----------------------------------------------------------------------------------------------------


def test_a_loaded_policy_does_the_same_in_both_modes(trained):
    """Actions, log-probabilities, and when it thinks."""
    policy, saved = trained
    loaded: Any = load_policy(CouncilAgent, saved, short("Hop"))
    assert loaded.config == policy.config
    assert not pickles_in(saved)
    first, second = (evaluate(p, short("Hop"), range(10_000, 10_006)) for p in (policy, loaded))
    for a, b in zip(first, second, strict=True):
        assert a.action_hash == b.action_hash
        np.testing.assert_array_equal(a.compute, b.compute)
        np.testing.assert_array_equal(a.target_log_prob, b.target_log_prob)
    thought = np.array([episode.gated for episode in first])
    assert thought.any()
    assert not thought.all()


def test_a_policy_of_another_task_is_refused(trained):
    with pytest.raises(ArtifactError, match=r"observation_space is .* the task needs"):
        load_policy(CouncilAgent, trained[1], short("Switch"))


def test_settings_that_do_not_fit_the_weights_are_refused(trained, tmp_path):
    for path in trained[1].iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    header = json.loads((tmp_path / "council.json").read_text())
    header["config"]["voices"] = 3
    (tmp_path / "council.json").write_text(json.dumps(header))
    with pytest.raises(ArtifactError, match="holds weights of another network"):
        CouncilAgent.load(tmp_path, short("Hop"))
