from __future__ import annotations

import math
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tropism.agents.contract import Budget, Task
from tropism.agents.counting import CountingTask
from tropism.agents.evaluate import evaluate
from tropism.agents.runs import Run, load_policy, read_metrics
from tropism.errors import DivergedError
from tropism_council import learning
from tropism_council.agent import CouncilAgent, untrained
from tropism_council.config import CouncilConfig
from tropism_council.schedule import HELD_OUT, LEAST_CALIBRATION, Plan
from tropism_council.training import calibrate

STEPS = 5200
"""A budget that is just enough to calibrate the gate."""
SHORT = Task("tropism/PatternWorld-Switch-v0", {"max_episode_steps": 300})
SMALL: dict[str, Any] = {
    "width": 16,
    "layers": 1,
    "heads": 2,
    "window": 8,
    "slots": 4,
    "voices": 2,
    "ponder_steps": 2,
    "lanes": 32,
    "stretch": 16,
    "questions": 4,
    "online": True,
    "share": 0.3,
    "checkpoint_every": 1500,
    "threads": 1,
}


@pytest.fixture
def agent():
    return lambda seed=0, **more: CouncilAgent(CouncilConfig(**{**SMALL, **more}), seed)


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """A training that nothing disturbed: policy, run directory, and what it used of its task."""
    directory = tmp_path_factory.mktemp("straight")
    task = CountingTask.of(SHORT)
    with Run(directory, {"seed": 0}) as run:
        policy = CouncilAgent(CouncilConfig(**SMALL), 0).train(task, Budget(STEPS), run)
    return policy, directory, task.usage


def assert_same(first, second):
    for (key, a), b in zip(first.items(), second.values(), strict=True):
        assert torch.equal(a, b), key


# -- the budget -------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=200, derandomize=True)
@given(st.integers(0, 10**7), st.integers(1, 100), st.integers(4, 100))
def test_a_plan_never_overdraws_and_leaves_out_little(env_steps, lanes, stretch):
    plan = Plan(CouncilConfig(lanes=lanes, stretch=stretch, questions=1), env_steps)
    assert plan.training + plan.calibration == env_steps
    assert 0 <= plan.calibration <= 0.05 * env_steps
    assert plan.calibration == 0 or plan.calibration >= LEAST_CALIBRATION
    assert 1 <= plan.lanes <= lanes
    assert plan.updates * plan.lanes * stretch <= max(plan.training, stretch)


@pytest.mark.parametrize("env_steps", [0, 5, 700])
@pytest.mark.filterwarnings("ignore:a budget of:UserWarning")
def test_small_budgets_are_spent_and_no_more(agent, tier, train, env_steps):
    task = CountingTask.of(tier("Switch"))
    _, run = train(agent(), task, env_steps)
    assert env_steps - 32 < task.usage.env_steps <= env_steps
    assert read_metrics(run)[-1]["calibrated"] == 0


def test_a_limit_of_time_ends_it(agent, tier, tmp_path):
    task = CountingTask.of(tier("Switch", max_episode_steps=20))
    with Run(tmp_path, {}) as run:
        agent().train(task, Budget(10**7, wall_s=0.5), run)
        assert run.checkpoint_steps()
    assert task.usage.env_steps < 10**6


# -- calibration ------------------------------------------------------------------------------------------------


def test_the_gate_is_calibrated_on_episodes_that_were_held_out(straight):
    policy, run, usage = straight
    threshold = policy.network.gate.threshold.item()
    assert math.isfinite(threshold)
    record = read_metrics(run)[-1]
    assert record["calibrated"] == 1
    assert record["threshold"] == pytest.approx(threshold)
    held = CountingTask.of(SHORT)
    calibrate(policy, held, int(0.05 * STEPS), 0.3, 0)
    assert policy.network.gate.threshold.item() == threshold
    last = held.train_seeds[1]
    assert held.usage.seeds <= set(range(last - HELD_OUT, last))
    learned = {seed for seed in usage.seeds if seed < last - HELD_OUT}
    assert usage.seeds - learned == held.usage.seeds
    assert len(learned) >= 32


def test_calibration_goes_on_with_new_episodes_where_they_are_short(tier, tiny, monkeypatch):
    task = tier("Switch", max_episode_steps=20)
    policy = untrained(task, tiny())
    begun, reset = [], policy.reset
    monkeypatch.setattr(policy, "reset", lambda *args: (begun.append(args), reset(*args)))
    calibrate(policy, task, 512, 0.3, 0)  # 256 steps of two lanes
    assert len(begun) == 1 + 256 // 20
    assert all(mask.all() for mask, _ in begun)
    assert math.isfinite(policy.network.gate.threshold)


def test_at_play_the_council_is_asked_about_as_often_as_it_may_be(straight):
    episodes = evaluate(straight[0], SHORT, range(10_000, 10_008))
    asked = np.mean([episode.compute > 1 for episode in episodes])
    assert 0.15 < asked < 0.5


def test_a_budget_too_small_to_calibrate_is_told_and_leaves_system_1_alone(agent, train):
    with pytest.warns(
        UserWarning, match="too few to calibrate the gate.*never asked.*at least 5120"
    ):
        policy, run = train(agent(), SHORT, 2000)
    assert policy.network.gate.threshold == math.inf
    record = read_metrics(run)[-1]
    assert record["calibrated"] == 0
    assert record["threshold"] is None  # what JSON has for infinity
    (episode,) = evaluate(policy, SHORT, [10_000])
    assert (episode.compute == 1).all()


# -- the record -------------------------------------------------------------------------------------------------


def test_every_loss_and_fact_is_on_record(straight):
    *rows, _ = read_metrics(straight[1])
    names = {"step", *learning.Losses._fields, *learning.Facts._fields}
    assert all(set(row) == names for row in rows)
    assert all(math.isfinite(value) for row in rows for value in row.values())
    assert [row["step"] for row in rows] == [32 * 16]  # one in twenty updates
    assert rows[0]["reflex"] > math.log(100) - 0.5


# -- a training that goes wrong ---------------------------------------------------------------------------------


def test_a_loss_that_is_not_a_number_stops_and_the_last_good_checkpoint_is_kept(
    agent, straight, train, tmp_path, monkeypatch
):
    whole, calls = learning.returns, []

    def spoiled(right):
        calls.append(right)
        return whole(right) * (math.nan if len(calls) > 8 else 1)

    with monkeypatch.context() as patch:
        patch.setattr(learning, "returns", spoiled)
        with pytest.raises(DivergedError, match=r"loss of 'value' is nan.*last checkpoint is kept"):
            train(agent(), SHORT, STEPS, tmp_path / "bad")
    with Run(tmp_path / "bad", {"seed": 0}) as run:
        latest = run.latest_checkpoint()
    assert latest is not None
    policy: Any = load_policy(CouncilAgent, latest, SHORT)
    assert all(value.isfinite().all() for value in policy.network.parameters())
    assert len(evaluate(policy, SHORT, [10_000])) == 1
    resumed, _ = train(agent(), SHORT, STEPS, tmp_path / "bad")
    assert_same(resumed.network.state_dict(), straight[0].network.state_dict())


KILLED = """
import os, signal, sys
from tropism.agents.contract import Budget, Task
from tropism.agents.runs import Run
from tropism_council import schedule
from tropism_council.agent import CouncilAgent
from tropism_council.config import CouncilConfig

def write_part(*args):
    os.kill(os.getpid(), signal.SIGKILL)

schedule.write_part = write_part
with Run(sys.argv[1], {"seed": 0}) as run:
    CouncilAgent(CouncilConfig(**SETTINGS), 0).train(Task(ID, KWARGS), Budget(STEPS), run)
"""


def only_the_first_checkpoint(directory):
    with Run(directory, {"seed": 0}) as run:
        assert run.checkpoint_steps() == [1536]


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_killed_at_any_moment_and_resumed_it_ends_with_the_same_bits(
    agent, straight, train, tmp_path, monkeypatch
):
    """Once between two checkpoints, and once inside the second, after the weights and before the optimiser.

    The first time it is an error, which another process would only take longer to raise.
    """
    whole, calls = learning.Learner.update, []

    def stopped(*args):
        calls.append(args)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return whole(*args)

    with monkeypatch.context() as patch:
        patch.setattr(learning.Learner, "update", stopped)
        with pytest.raises(KeyboardInterrupt):
            train(agent(), SHORT, STEPS, tmp_path / "killed")
    only_the_first_checkpoint(tmp_path / "killed")
    program = KILLED
    for name, value in (
        ("SETTINGS", SMALL),
        ("STEPS", STEPS),
        ("ID", SHORT.env_id),
        ("KWARGS", SHORT.kwargs),
    ):
        program = program.replace(name, repr(value))
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "killed")],
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == -9, done.stderr
    only_the_first_checkpoint(tmp_path / "killed")
    resumed, killed = train(agent(), SHORT, STEPS, tmp_path / "killed")
    policy, whole, _ = straight
    assert_same(resumed.network.state_dict(), policy.network.state_dict())
    with Run(killed, {"seed": 0}) as one, Run(whole, {"seed": 0}) as other:
        assert one.checkpoint_steps() == other.checkpoint_steps()
        assert len(one.checkpoint_steps()) > 2
    assert read_metrics(killed) == read_metrics(whole)


# -- learning ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_switch_is_learned_to_95_percent_in_ten_minutes_of_two_cores(tier, train):
    agent = CouncilAgent(CouncilConfig(threads=2), 0)
    task = tier("Switch")
    policy, _ = train(agent, task, 2_000_000, wall_s=600)
    scores = [episode.score for episode in evaluate(policy, task, range(10_000, 10_020))]
    assert np.mean(scores) / 1000 >= 0.95
