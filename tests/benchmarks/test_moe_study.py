"""The parts of the study of the mixture of experts that are not a run: doing runs once, what is told of them, and promises."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from tropism.agents.contract import Decision, Task

SCRIPTS = Path(__file__).parents[2] / "benchmarks"
TASKS = ("switch", "affine", "chemotaxis")


def script(name):
    pytest.importorskip("tropism_moe")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [str(SCRIPTS), *sys.path])
        return importlib.import_module(name)


def told(mean):
    return {"mean": mean, "low": mean - 0.1, "high": mean + 0.1}


GOOD = {
    "dense.normalised": 0.95, "packed.normalised": 0.94, "packed.score": 940.0,
    "dense.weight_bytes": 200, "sparse.weight_bytes": 900, "packed.weight_bytes": 100,
    "ternary.unevenness": 0.1, "ternary.unused": 0,
    "confidence.ece_before": 0.2, "confidence.ece_after": 0.05, "confidence.auroc_disagreement": 0.8,
    "caching.0.misses": 1000, "caching.0.score": 100,
    **{f"caching.{t}.{k}": 0 for t in ("0", "0.1", "0.2") for k in ("substituted", "unannounced")},
    "caching.0.1.misses": 650, "caching.0.1.score": 99.5,
    "caching.0.2.misses": 300, "caching.0.2.score": 98.0,
}  # fmt: skip


def records(**changes):
    """Records of the three tasks that keep every promise, but for what is changed in one of them."""
    good = {name: told(mean) for name, mean in GOOD.items()}
    arms = {task: dict(good) for task in TASKS}
    arms |= {f"{task}, one expert": dict(good) for task in TASKS}
    arms["switch, gated at each layer"] = dict(good)
    arms["affine, slack"] = dict(good)
    for arm in ("affine", "affine, slack"):
        arms[arm] |= {name: told(mean) for name, mean in changes.items()}
    return lambda _: {"arms": arms}


@pytest.mark.parametrize(
    ("promise", "worse"),
    [
        ("teacher", {"dense.normalised": 0.89}),
        ("ternary student", {"packed.normalised": 0.90}),
        ("ternary student", {"sparse.weight_bytes": 790}),
        ("routing", {"ternary.unevenness": 0.16}),
        ("routing", {"ternary.unused": 1}),
        ("confidence", {"confidence.ece_after": 0.09}),
        ("pre-gating", {"caching.0.unannounced": 1}),
        ("cache-aware routing", {"caching.0.1.misses": 750}),
        ("cache-aware routing", {"caching.0.1.score": 98.9}),
    ],
)
def test_a_promise_is_kept_on_every_task_or_not(promise, worse):
    check = script("claims_moe_learning").MOE_LEARNING[f"moe: {promise}"]
    assert check(records())[0] is True
    assert check(records(**worse))[0] is False


def test_one_expert_must_be_an_eighth_of_the_network_that_it_is_made_of():
    check, good = (
        script("claims_moe_learning").MOE_LEARNING["moe: ternary student"],
        records()("moe"),
    )
    assert check(lambda _: good)[0] is True
    good["arms"]["affine, one expert"]["sparse.weight_bytes"] = told(790)
    assert check(lambda _: good)[0] is False


def test_the_largest_tolerance_counts_that_costs_no_more_than_a_hundredth():
    best = script("claims_moe_learning")._best(records()("moe")["arms"]["switch"])
    assert best == (0.65, 0.995, "0.1")


def test_the_table_tells_what_is_on_record_and_what_is_missing():
    table = script("moe_table")
    found = table.results({"switch": records()("moe")["arms"]["switch"]})
    assert "| Switch | – | 0.950 [0.850, 1.050] | – | – | 0.940 [0.840, 1.040] |" in found
    assert "| Switch | 0.1 | 650 | -35 % |" in found
    assert "Not run to their end yet: affine, chemotaxis, steady, switch, one expert," in found


def test_a_run_is_done_once_unless_its_settings_change(tmp_path):
    once, calls = script("study_runs").once, []

    def work():
        calls.append(1)
        return {"found": len(calls)}

    for settings, expected in (("a", 1), ("a", 1), ("b", 2), ("b", 2)):
        assert once(tmp_path, {"settings": settings}, work)["found"] == expected
    assert len(calls) == 2


def test_arms_are_recorded_beside_those_that_stand_there(tmp_path):
    runs, result = script("study_runs"), tmp_path / "result.json"
    for arm in ("one", "other"):
        rows = [{"x": 1.0}, {"x": 3.0}]
        runs.record(result, {arm: rows}, runs.means, "command")
    found = json.loads(result.read_text())
    assert list(found["arms"]) == ["one", "other"]
    assert found["arms"]["one"]["x"]["mean"] == 2
    assert found["arms"]["one"]["x"]["low"] <= 1.5
    assert runs.means([{"x": 1.0}, {"y": None}]) == {"x": {"mean": 1.0, "low": None, "high": None}}


class Says:
    """A policy that always does the same, or what it saw."""

    def __init__(self, action=None):
        self.action, self.seen = action, []

    def reset(self, mask, seeds):
        self.seen.append("reset")

    def act(self, observation, info, gate=None):
        self.told = set(info)
        action = np.full(len(observation), self.action) if self.action is not None else observation
        facts = {"confidence": np.full(len(observation), 0.9), "disagreement": observation / 10}
        return Decision(action, np.ones(len(observation), np.int64), None, facts)

    def observe(self, *outcome):
        self.seen.append(outcome[0])
        self.told |= set(outcome[-1])


def test_a_policy_is_right_where_its_teacher_would_have_done_the_same():
    checked = script("moe_measures").Checked(Says(), Says(2))
    checked.reset(np.ones(3, bool), np.zeros(3, np.uint64))
    for observation in (np.array([2, 1, 2]), np.array([0, 2, 2])):
        checked.act(observation, {})
        checked.observe(observation, observation, None, None, None, {})
    np.testing.assert_array_equal(
        np.stack(checked.right), [[True, False, True], [False, True, True]]
    )
    for player in (checked.policy, checked.teacher):
        assert player.seen[0] == "reset"
        assert len(player.seen) == 3


def test_only_a_teacher_sees_what_it_alone_may_see():
    checked = script("moe_measures").Checked(Says(), Says(2), {"rule"})
    checked.reset(np.ones(1, bool), np.zeros(1, np.uint64))
    checked.act(np.array([2]), {"step": 1, "rule": 3})
    checked.observe(np.array([2]), np.array([2]), None, None, None, {"switched": 1, "rule": 3})
    assert checked.policy.told == {"step", "switched"}
    assert checked.teacher.told == {"step", "switched", "rule"}


def test_labels_of_a_task_are_what_a_teacher_may_see():
    hidden = script("moe_measures").hidden(Task("tropism/PatternWorld-Switch-v0"))
    assert {"rule", "switched"} < hidden
    assert {name for name in hidden if name.startswith("_")} == {
        f"_{n}" for n in hidden if n[0] != "_"
    }
