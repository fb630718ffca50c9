"""What a policy learns and is forbidden while it acts, seen from outside."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tropism.agents.contract import Budget, Task
from tropism.agents.evaluate import RandomGate, evaluate
from tropism.agents.runs import Run
from tropism.errors import ArtifactError, OptionError, UnknownNameError, UnsupportedTaskError
from tropism_moe.agent import MoEAgent
from tropism_moe.agent_config import MoEConfig
from tropism_moe.projection import PolytopeError

STEADY = Task("tropism/PatternWorld-Switch-v0", {"hazard": 0.001, "max_episode_steps": 48})
PAID = Task("tropism/Sanity-Memory-v0")
BOX = Task("tropism/Sanity-Continuous-v0")
TAXI = Task("Taxi-v4", {"max_episode_steps": 40})
FAST = {"position_sigma": 0.2, "position_rate": 0.01, "adapt_rate": 0.1, "fold_rate": 0.3}
WAYS = [
    {"memory": 5.0},
    {"adapt": "head", **FAST},
    {"adapt": "positions", **FAST},
    {"adapt": "both", "adapt_directions": 4, **FAST},
    {"adapt": "fold", **FAST},
    {"adapt": "head", "memory": 5.0, **FAST},
]


def hashes(episodes):
    return [episode.action_hash for episode in episodes]


@pytest.mark.parametrize("options", WAYS, ids=str)
@pytest.mark.parametrize("task", [STEADY, PAID], ids=["told", "paid"])
def test_episodes_depend_neither_on_other_lanes_nor_on_those_before(untrained, task, options):
    policy = MoEAgent.load(untrained(task), task, **options)
    gate = RandomGate(0.3)
    together = hashes(evaluate(policy, task, range(10_000, 10_003), gate=gate))
    assert hashes(evaluate(policy, task, range(10_000, 10_003), gate=gate, lanes=1)) == together


@pytest.mark.parametrize(
    "options", [{"memory": 30.0}, {"adapt": "head", "adapt_rate": 0.3}], ids=str
)
def test_a_network_that_knows_nothing_learns_within_an_episode(untrained, options):
    task = Task(STEADY.env_id, {"hazard": 0.001, "max_episode_steps": 400})
    late = []
    for learns in ({}, options):
        policy = MoEAgent.load(untrained(STEADY), task, **learns)
        found = evaluate(policy, task, range(10_000, 10_004))
        late.append(np.mean([episode.reward[-100:].mean() for episode in found]))
    assert late[0] < 0.05
    assert late[1] > 0.2


def test_compute_counts_the_passes_of_trials(untrained):
    policy = MoEAgent.load(untrained(STEADY), STEADY, adapt="positions", adapt_every=3)
    (episode,) = evaluate(policy, STEADY, [10_000])
    assert episode.compute[:6].tolist() == [1, 18, 1, 1, 18, 1]


def test_what_is_learned_in_a_lifelong_task_outlives_the_episode(untrained):
    played = []
    for lifelong in (False, True):
        task = Task(STEADY.env_id, STEADY.kwargs, lifelong=lifelong)
        policy = MoEAgent.load(untrained(STEADY), task, memory=30.0)
        played.append([e.score for e in evaluate(policy, task, [10_000, 10_000], lanes=1)])
    assert played[0][0] == played[0][1] == played[1][0]
    assert played[1][1] > played[1][0] + 3


def test_a_trained_policy_is_loaded_with_other_options_and_saves_them(untrained, tmp_path):
    policy = MoEAgent.load(untrained(STEADY), STEADY, adapt="head", memory=2.0)
    assert policy.learned.size == 15 * (100 + 32)
    policy.save(tmp_path)
    again = MoEAgent.load(tmp_path, STEADY)
    assert again.config == policy.config
    assert hashes(evaluate(policy, STEADY, [10_000])) == hashes(evaluate(again, STEADY, [10_000]))
    assert MoEAgent.load(untrained(STEADY), STEADY).config.adapt == "off"


def test_a_network_that_reads_something_else_is_refused(untrained):
    hidden = Task(STEADY.env_id, {**STEADY.kwargs, "feedback": "bandit"})
    with pytest.raises(ArtifactError, match="reads 110 numbers, an observation now gives 212"):
        MoEAgent.load(untrained(STEADY), hidden)


# Constraints and masks


def sides(path, bounds=(0.1, 0.1)):
    path.write_text(json.dumps({"normals": [[1.0, 1.0], [1.0, -2.0]], "bounds": list(bounds)}))
    return str(path)


def test_no_action_leaves_the_constraints_and_a_saved_policy_needs_no_other_file(
    untrained, tmp_path
):
    file = tmp_path / "sides.json"
    policy = MoEAgent.load(untrained(BOX), BOX, constraints=sides(file))
    free = MoEAgent.load(untrained(BOX), BOX)
    target = tmp_path / "policy"
    target.mkdir()
    policy.save(target)
    file.unlink()
    again = MoEAgent.load(target, BOX)
    kept, same, loose = (evaluate(p, BOX, range(10_000, 10_006)) for p in (policy, again, free))
    assert hashes(kept) == hashes(same)
    normals = np.array([[1.0, 1.0], [1.0, -2.0]])
    most = [np.max(np.concatenate([e.action for e in of]).astype(float) @ normals.T) for of in (kept, loose)]  # fmt: skip
    assert most[0] <= 0.1 < most[1]
    assert MoEAgent.load(target, BOX, constraints="").constraints is None


def test_what_a_mask_forbids_is_never_done(untrained):
    policy = MoEAgent.load(untrained(TAXI), TAXI, adapt="head", memory=3.0, **FAST)
    env = TAXI.make_vec(4)
    observation, info = env.reset(seed=[1, 2, 3, 4])
    policy.reset(np.ones(4, np.bool_), np.arange(4, dtype=np.uint64))
    forbidden = 0
    for step in range(40):
        gate = np.array([True, False, step % 2 == 0, False])
        decision = policy.act(observation, info, gate)
        mask = np.asarray(info["action_mask"], np.bool_)
        assert mask[np.arange(4), decision.action].all()
        assert np.isneginf(decision.log_probs[~mask]).all()
        np.testing.assert_allclose(np.exp(decision.log_probs).sum(1), 1, rtol=1e-5)
        free = policy.act(observation, {}).action
        forbidden += (~mask[np.arange(4), free]).sum()
        observation, reward, *ends, info = env.step(decision.action)
        policy.observe(decision.action, observation, reward, *ends, info)
    env.close()
    assert forbidden > 0


# What is refused


@pytest.mark.parametrize(
    ("task", "options", "reason"),
    [
        (BOX, {"memory": 1.0}, r"memory=1\.0 needs actions that are one discrete choice, not Box"),
        (BOX, {"adapt": "both"}, "adapt='both' needs actions that are one discrete choice"),
        (Task("tropism/Sanity-MultiDiscrete-v0"), {"adapt": "head"}, "adapt='head' needs actions"),
    ],
)
def test_options_that_do_not_go_with_the_actions_are_told_before_training(
    untrained, tmp_path, task, options, reason
):
    agent = MoEAgent(MoEConfig(**options), 0)
    assert reason.split()[0].replace("\\", "") in agent.supports(task)
    with Run(tmp_path / "run", {}) as run, pytest.raises(UnsupportedTaskError, match=reason):
        agent.train(task, Budget(1000), run)
    with pytest.raises(UnsupportedTaskError, match=reason):
        MoEAgent.load(untrained(task), task, **options)


def test_folding_goes_with_any_actions(untrained):
    policy = MoEAgent.load(untrained(BOX), BOX, adapt="fold", fold_rate=0.5)
    before = policy.learned.folding.positions.copy()
    evaluate(policy, BOX, [10_000])
    assert (policy.learned.folding.positions != before).any()


def test_constraints_that_cannot_be_are_told_before_training(tmp_path):
    def supports(**options):
        return MoEAgent(MoEConfig(**options), 0).supports

    file = sides(tmp_path / "sides.json")
    assert supports(constraints=file)(BOX) is None
    assert "constraints need actions of a Box" in str(supports(constraints=file)(PAID))
    with pytest.raises(OptionError, match=r"nowhere\.json gives none"):
        supports(constraints=str(tmp_path / "nowhere.json"))(BOX)
    with pytest.raises(PolytopeError, match="leave no interior"):
        supports(constraints=sides(tmp_path / "sides.json", (-9, -9)))(BOX)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"adapt": "heads"}, UnknownNameError, "Did you mean 'head'"),
        ({"memory": -1.0}, OptionError, r"memory must be a number in \[0.0, 100.0\], got -1"),
        ({"adapt_rank": 300, "adapt": "head"}, OptionError, "the rank is at most"),
        ({"fold": 0.1}, UnknownNameError, "fold_rate"),
    ],
)
def test_wrong_options_are_named(untrained, options, error, message):
    with pytest.raises(error, match=message):
        MoEAgent.load(untrained(STEADY), STEADY, **options)
