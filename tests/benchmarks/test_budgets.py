"""The area under the score within a budget of compute."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tropism.agents.contract import Task
from tropism.agents.two_mode import TwoModeConfig, TwoModePolicy
from tropism.benchmarks.budgets import budget_area, play_budgets, point_area
from tropism.benchmarks.metrics.compute import BUDGETS, pareto_area
from tropism.errors import OptionError


def test_pareto_area_by_hand():
    assert pareto_area([1.0], [1.0]) == 1
    assert pareto_area([5.0], [1.0]) == 0
    # Score .5 up to budget 2, 1 from 2 on: trapezoid between 1.5 and 2.
    log = np.log
    expected = (0.5 * log(1.5) + 0.75 * log(2 / 1.5) + 1.0 * log(2)) / log(4)
    assert pareto_area([1.0, 2.0], [0.5, 1.0]) == pytest.approx(expected)
    with pytest.raises(OptionError, match="shape"):
        pareto_area([1.0], [1.0, 2.0])


def test_the_area_of_one_point_by_hand(episode):
    assert point_area([episode([1, 0], compute=[3, 3])], 0.5) == 0.5  # it keeps every budget
    # Three units on average where the cheapest decision takes one: within the last budget only.
    late = 0.5 * 0.8 * np.log(2) / np.log(4)
    assert point_area([episode([1, 0], compute=[1, 5])], 0.8) == pytest.approx(late)
    assert point_area([episode([1, 0])], -0.5) == 0


def test_the_area_under_buckets_by_hand(episode):
    scores = [[1.0, 1.0], [2.0, 2.0], [2.0, 2.0], [3.0, 3.0], [3.0, 3.0]]
    record = {"seeds": [1, 2], "budgets": list(BUDGETS), "scores": scores}
    players = {
        "random": [episode([0, 0, 0, 0], seed=seed) for seed in (1, 2, 3)],
        "ideal": [episode([1, 1, 1, 1], seed=1), episode([1, 1, 1, 1], seed=2)],
    }
    expected = pareto_area(BUDGETS, [0.25, 0.5, 0.5, 0.75, 0.75])
    assert budget_area([record], players) == pytest.approx(expected)
    better = {
        **record,
        "scores": [[3.0, 3.0]] * 5,
    }  # another training seed: the mean of both counts
    expected = pareto_area(BUDGETS, [0.5, 0.625, 0.625, 0.75, 0.75])
    assert budget_area([record, better], players) == pytest.approx(expected)
    assert np.isnan(budget_area([record], {"random": players["random"]}))


def test_a_policy_earns_more_with_a_larger_budget_and_keeps_it(episode):
    task = Task("tropism/PatternWorld-Fast-v0", {"max_episode_steps": 300})
    policy = TwoModePolicy(task, TwoModeConfig())
    free = [episode([1, 1], seed=s, compute=[1, 8], gated=np.array([0, 1])) for s in (7, 8, 9)]
    record = play_budgets(policy, task, free)
    assert record is not None
    assert json.loads(json.dumps(record)) == record
    assert record["seeds"] == [7, 8]
    start = 8 / 300  # what an episode begins with
    assert all(used <= b + start for used, b in zip(record["compute"], BUDGETS, strict=True))
    assert sum(record["scores"][-1]) > sum(record["scores"][0])
    assert play_budgets(policy, task, [episode([1])]) is None
