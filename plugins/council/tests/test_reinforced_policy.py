from __future__ import annotations

import math
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces

import tropism.envs  # noqa: F401  registers the ids
from tropism.agents.contract import Budget, Task
from tropism.agents.counting import CountingTask
from tropism.agents.evaluate import evaluate
from tropism.agents.gates import RandomGate
from tropism.agents.runs import Run, load_policy, read_metrics, save_policy
from tropism.errors import ArtifactError, DivergedError, UnsupportedTaskError
from tropism_council import reinforcement
from tropism_council.agent import CouncilAgent
from tropism_council.config import CouncilConfig
from tropism_council.reinforced_policy import ReinforcedPolicy
from tropism_council.reinforced_training import better
from tropism_council.reinforcement import Practice
from tropism_council.schedule import HELD_OUT

SMALL = {
    "width": 16,
    "heads": 2,
    "window": 8,
    "slots": 4,
    "voices": 2,
    "ponder_steps": 2,
    "lanes": 16,
    "stretch": 16,
    "questions": 4,
    "checkpoint_every": 1500,
    "share": 0.3,
    "threads": 1,
}
STEPS = 5200
"""A budget that is just enough to calibrate."""
DICT, BOX = Task("tropism/Sanity-Dict-v0"), Task("tropism/Sanity-Continuous-v0")
SINGLE = [i for i in sorted(gymnasium.registry) if i.startswith(("tropism/Sanity", "tropism/Chem"))]


@pytest.fixture
def agent():
    return lambda seed=0, **more: CouncilAgent(CouncilConfig(**{**SMALL, **more}), seed)


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """A training without a break on Sanity-Dict: policy, directory, what it used."""
    torch.set_num_threads(1)
    directory, task = tmp_path_factory.mktemp("run"), CountingTask.of(DICT)
    with Run(directory, {"seed": 0}) as run:
        policy = CouncilAgent(CouncilConfig(**SMALL), 0).train(task, Budget(STEPS), run)
    return policy, directory, task.usage


@pytest.fixture
def play(stir):
    """A stirred policy with lanes that have begun: ``play(task, lanes) -> (policy, env, observation)``."""
    opened = []

    def go(task, lanes=3, *, draws=False):
        policy = ReinforcedPolicy(task, CouncilConfig(**SMALL), Practice())
        stir(policy.actor)
        policy.actor.draws.fill_(draws)
        opened.append(task.make_vec(lanes))
        policy.reset(np.ones(lanes, np.bool_), np.arange(lanes, dtype=np.uint64))
        return policy, opened[-1], opened[-1].reset(seed=list(range(lanes)))[0]

    yield go
    for env in opened:
        env.close()


def assert_same(first, second):
    assert first.keys() == second.keys()
    for key, value in first.items():
        assert torch.equal(value, second[key]), key


# -- what is supported ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("env_id", SINGLE)
def test_every_environment_of_one_agent_is_supported(agent, env_id):
    assert agent().supports(Task(env_id)) is None


@pytest.mark.parametrize(
    ("task", "reason"),
    [
        (Task("tropism/Chemotaxis-Shared-v0", agents=("a", "b")), "single-agent"),
        (Task("tropism/PatternWorld-Switch-v0", {"flat": True}), "leave out flat=True"),
        (Task("tropism/PatternWorld-Switch-v0", {"feedback": "bandit"}), "at most 4096"),
    ],
)
def test_other_tasks_are_refused_with_the_reason(agent, task, reason, train):
    assert reason in agent().supports(task)
    with pytest.raises(UnsupportedTaskError, match="council cannot run"):
        train(agent(), task, 100)


def test_patternworld_is_learned_from_rewards_where_no_answer_is_revealed(agent):
    assert agent().supports(Task("tropism/PatternWorld-Hop-v0", {"feedback": "bandit"})) is None


# -- acting -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", [DICT, BOX, Task("tropism/Sanity-MultiDiscrete-v0")])
def test_compute_is_one_pass_and_one_for_every_step_of_every_voice(play, task):
    policy, env, observation = play(task)
    asked = np.array([True, False, True])
    decision = policy.act(observation, {}, asked)
    assert env.action_space.contains(decision.action)
    steps = decision.diagnostics["steps"]
    assert (steps[asked] >= 1).all()
    assert steps[1] == 0
    np.testing.assert_array_equal(decision.compute, 1 + 2 * steps)
    np.testing.assert_array_equal(decision.diagnostics["mode"], asked)
    assert (decision.log_probs is None) == (not isinstance(policy.choices.space, spaces.Discrete))
    for name in ("entropy", "coherence"):
        assert ((decision.diagnostics[name] >= 0) & (decision.diagnostics[name] <= 1)).all()


def test_lanes_think_by_the_networks_own_gate_unless_it_is_imposed(play):
    policy, _, observation = play(DICT)
    policy.actor.gate.threshold.fill_(torch.inf)
    scores = policy.act(observation, {}).diagnostics["score"]
    policy.reset(np.ones(3, np.bool_), np.arange(3, dtype=np.uint64))
    policy.actor.gate.threshold.fill_(float(np.sort(scores)[1]))
    mode = policy.act(observation, {}).diagnostics["mode"]
    np.testing.assert_array_equal(mode, scores > np.sort(scores)[1])
    assert mode.sum() == 1


def test_what_was_done_and_paid_is_part_of_the_stream(play):
    answers = []
    for reward, drawn in ((0.0, 0), (3.0, 0), (0.0, 1)):
        policy, _, observation = play(DICT)
        policy.act(observation, {})
        policy.acting.did(torch.full((3, 1), drawn))
        ends = np.zeros(3, np.bool_)
        policy.observe(None, observation, np.full(3, reward), ends, ends, {})
        policy.act(observation, {})
        answers.append(policy.acting.value)
        assert (policy.acting.reward == 0).all()  # of what was done just now, nothing is known yet
    assert not torch.allclose(answers[0], answers[1], atol=1e-3)
    assert not torch.allclose(answers[0], answers[2], atol=1e-3)


@pytest.mark.parametrize("draws", [False, True])
@pytest.mark.parametrize("task", [DICT, BOX])
def test_a_lanes_actions_depend_on_its_seed_and_nothing_else(play, task, draws):
    policy, _, _ = play(task, draws=draws)
    seeds = [10_000, 10_001, 10_002]
    gate = RandomGate(0.3)
    together = evaluate(policy, task, seeds, gate=gate)
    for one, other in zip(together, evaluate(policy, task, seeds, lanes=1, gate=gate), strict=True):
        assert one.action_hash == other.action_hash
    assert len({e.action_hash for e in together}) == 3


def test_acting_before_an_episode_has_begun_is_told():
    policy = ReinforcedPolicy(DICT, CouncilConfig(**SMALL), Practice())
    with pytest.raises(RuntimeError, match=r"call policy\.reset"):
        policy.act({}, {})


# -- storage ----------------------------------------------------------------------------------------------------


def test_what_is_saved_acts_the_same_once_loaded(straight, tmp_path):
    policy, _, _ = straight
    loaded: Any = load_policy(CouncilAgent, save_policy(policy, tmp_path / "saved"), DICT)
    assert_same(policy.actor.state_dict(), loaded.actor.state_dict())
    for one, other in zip(
        evaluate(policy, DICT, range(10_000, 10_004)),
        evaluate(loaded, DICT, range(10_000, 10_004)),
        strict=True,
    ):
        assert one.action_hash == other.action_hash
        np.testing.assert_array_equal(one.compute, other.compute)


def test_another_tasks_policy_is_refused(straight, tmp_path):
    saved = save_policy(straight[0], tmp_path / "saved")
    with pytest.raises(ArtifactError, match=r"observation_space is .*the task needs"):
        load_policy(CouncilAgent, saved, BOX)


# -- training ---------------------------------------------------------------------------------------------------


def test_training_keeps_its_budget_and_its_seeds(straight):
    _, _, usage = straight
    assert STEPS - 16 <= usage.env_steps <= STEPS
    first, last = DICT.train_seeds
    assert all(first <= seed < last for seed in usage.seeds)
    assert any(seed >= last - HELD_OUT for seed in usage.seeds)  # for the threshold


def test_the_record_tells_what_was_set_on_held_out_seeds(straight):
    policy, directory, _ = straight
    row = read_metrics(directory)[-1]
    assert row["calibrated"] == 1
    assert row["threshold"] == pytest.approx(policy.actor.gate.threshold.item())
    assert row["drawn"] == policy.actor.draws.item()
    assert {"greedy_return", "drawn_return"} <= row.keys()


def test_at_play_the_council_is_asked_about_as_often_as_it_may_be(straight):
    episodes = evaluate(straight[0], DICT, range(10_000, 10_032))
    assert 0.1 < np.mean([episode.compute > 1 for episode in episodes]) < 0.6


@pytest.mark.parametrize("env_steps", [0, 1, 5, 700])
def test_small_budgets_are_spent_and_no_more(agent, train, env_steps):
    task = CountingTask.of(DICT)
    with pytest.warns(UserWarning, match="never asked, and actions are drawn; give at least 5120"):
        policy, directory = train(agent(), task, env_steps)
    assert env_steps - 16 < task.usage.env_steps <= env_steps
    row = read_metrics(directory)[-1]
    assert (row["calibrated"], row["threshold"], row["drawn"]) == (0, None, 1)
    (episode,) = evaluate(policy, DICT, [10_000])
    assert (episode.compute == 1).all()


def test_broken_off_and_resumed_it_ends_with_the_same_bits(
    agent, straight, train, tmp_path, monkeypatch
):
    whole, calls = reinforcement.Practitioner.update, []

    def broken(learner, stretch):
        calls.append(stretch)
        if len(calls) == 8:  # the first checkpoint stands after six
            raise KeyboardInterrupt
        return whole(learner, stretch)

    with monkeypatch.context() as patch:
        patch.setattr(reinforcement.Practitioner, "update", broken)
        with pytest.raises(KeyboardInterrupt):
            train(agent(), DICT, STEPS, tmp_path / "run")
    resumed, _ = train(agent(), DICT, STEPS, tmp_path / "run")
    assert_same(resumed.actor.state_dict(), straight[0].actor.state_dict())


def test_a_loss_that_is_not_a_number_stops_and_the_last_good_checkpoint_is_kept(
    agent, train, tmp_path, monkeypatch
):
    whole, calls = reinforcement.ponder_cost, []

    def spoiled(thought, prior):
        calls.append(thought)
        return whole(thought, prior) * (math.nan if len(calls) > 28 else 1)

    monkeypatch.setattr(reinforcement, "ponder_cost", spoiled)
    with pytest.raises(DivergedError, match="loss of 'ponder' is nan"):
        train(agent(), DICT, STEPS, tmp_path / "bad")
    with Run(tmp_path / "bad", {"seed": 0}) as run:
        latest = run.latest_checkpoint()
    assert latest is not None
    policy: Any = load_policy(CouncilAgent, latest, DICT)
    assert all(value.isfinite().all() for value in policy.actor.parameters())
    assert len(evaluate(policy, DICT, [10_000])) == 1


def test_returns_are_better_if_they_are_so_by_more_than_an_error():
    rng = np.random.default_rng(0)
    low, high = rng.normal(0, 1, 100), rng.normal(0.5, 1, 100)
    assert better(high, low)
    assert not better(low, high)
    assert not better(low + 0.05, low)
    assert not better(high[:1], low)  # one episode tells nothing
