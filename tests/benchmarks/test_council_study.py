"""The parts of the council's study that are not a run: a learner that solves for rules, reliability, table and promises."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tropism.agents.episodes import Episode
from tropism.envs.patternworld.permutations import hop, rank

SCRIPTS = Path(__file__).parents[2] / "benchmarks"
TOKENS = st.integers(0, 96)


@pytest.fixture(scope="module")
def recur():
    """``benchmarks/council_recur.py``."""
    return script("council_recur")


def script(name):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [str(SCRIPTS), *sys.path])
        return importlib.import_module(name)


@settings(deadline=None, max_examples=50, derandomize=True)
@given(scale=st.integers(1, 96), shift=TOKENS, start=TOKENS)
def test_two_transitions_tell_a_rule_unless_it_stands_still(recur, scale, shift, start):
    rule = recur.Rule(scale, shift)
    then = rule(start)
    assert recur.solve(start, then, rule(then)) == (None if then == start else rule)


def right(mind, rules, start, length):
    """Which answers of a mind are right while these rules follow one another, each for so many steps."""
    token, found = start, []
    said = mind.hear(token)
    for rule in rules:
        for _ in range(length):
            token = rule(token)
            found.append(said == token)
            said = mind.hear(token)
    return np.array(found).reshape(len(rules), length)


@pytest.mark.parametrize(("remembers", "again"), [(True, 1), (False, 2)])
def test_a_rule_that_returns_costs_a_mind_that_remembers_one_step_less(recur, remembers, again):
    one, other = recur.Rule(5, 3), recur.Rule(7, 11)
    found = right(recur.Mind(remembers), [one, other, one], 2, 10)
    assert found[0].tolist() == [False] * 2 + [True] * 8
    assert found[1].tolist() == [False] * 2 + [True] * 8
    assert found[2].tolist() == [False] * again + [True] * (10 - again)


def test_reliability_compares_means_of_steps_that_were_expected_to_gain_alike():
    gate, rng = script("council_gate"), np.random.default_rng(0)
    expected = rng.random((20, 500))
    found = gate.reliability(expected, 0.5 * expected + rng.normal(0, 0.1, expected.shape))
    assert len(found["expected"]) == gate.BINS
    np.testing.assert_allclose(found["expected"], np.linspace(0.05, 0.95, gate.BINS), atol=0.01)
    np.testing.assert_allclose(found["found"], 0.5 * np.array(found["expected"]), atol=0.02)
    assert found["error"] == pytest.approx(0.25, abs=0.01)


# -- hops -------------------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=50, derandomize=True)
@given(st.permutations(range(8)), st.integers(0, 7))
def test_a_symbol_comes_back_after_the_length_of_its_cycle(permutation, symbol):
    length = script("council_hops").cycles(np.array([rank(permutation)]), np.array([symbol]))[0]
    back = [n for n in range(1, 9) if hop(permutation, symbol, n) == symbol]
    assert back[0] == length


def test_steps_of_thought_are_compared_with_hops_on_average_singly_and_off_short_cycles():
    """The permutation swaps 0 and 1 and turns the other six; on the swapped ones two steps of thought always do."""
    rule = rank([1, 0, 3, 4, 5, 6, 7, 2])
    k, target = (x.ravel() for x in np.meshgrid(np.arange(1, 9), np.arange(8)))
    labels = {"required_compute": k, "target": target, "rule": np.full(64, rule)}
    compute = 1 + np.where(target < 2, 2, k)
    deep = Episode(0, np.zeros(64), target, compute, None, labels)
    flat = Episode(0, np.zeros(64), np.where(k > 2, -1, target), np.ones(64), None, labels)
    found = script("council_hops").hops([deep, deep], [flat, flat])
    assert found["accuracy"] == [1.0] * 8
    assert found["reflex"] == [1.0, 1.0] + [0.0] * 6
    assert found["compute"] == pytest.approx([1 + 0.75 * n + 0.5 for n in range(1, 9)])
    assert found["rising"] == pytest.approx(1)
    assert found["spearman_long"] == pytest.approx(1)
    assert 0.6 < found["spearman"] < 0.9


def test_steps_of_thought_are_averaged_over_seeds_before_they_are_ranked():
    hops = script("council_hops")
    one, other = np.arange(1.0, 9), np.arange(1.0, 9)
    other[7] = 0  # one seed finds a short way for eight hops
    seeds = [{"compute": list(one)}, {"compute": list(one)}, {"compute": list(other)}]
    assert hops.rising_of_means(seeds[:2]) == pytest.approx(1)
    means = np.mean([one, one, other], 0)
    assert hops.rising_of_means(seeds) == pytest.approx(hops.spearman(means, np.arange(1, 9)))
    assert hops.rising_of_means(seeds) < 1


# -- the table and the promises -----------------------------------------------------------------------------------


def told(mean):
    return {"mean": mean, "low": mean - 0.1, "high": mean + 0.1}


def arm(low=1.0, **means):
    matched = {
        "gain": low + 1,
        "low": low,
        "high": low + 2,
        "compute": 2.5,
        "control_compute": 2.25,
    }
    return {"matched": matched, "seeds": 5, **{name: told(mean) for name, mean in means.items()}}


def test_the_table_tells_what_is_on_record_and_what_is_missing(monkeypatch, tmp_path):
    table = script("council_table")
    monkeypatch.setattr(script("readme_rows"), "RESULTS", tmp_path)
    recur = {"recur": arm(savings=1.5, ideal_savings=1.75)}
    (tmp_path / "council.json").write_text(json.dumps({"arms": recur, "runs": {}}))
    found = table.results()
    assert "| recur | – | – | – | – | – | – | – | – | 2.0 [1.0, 3.0] | 2.50, 2.25 |" in found
    assert "| recur | 1.75 [1.65, 1.85] | 1.50 [1.40, 1.60] | – |" in found
    assert (
        "Not run to their end yet: switch, affine, hop, hop, one pass, recur, no memory," in found
    )


def test_a_mean_of_one_run_has_no_interval():
    table = script("council_table")
    assert table.figure({"mean": 0.5, "low": None, "high": None}) == "0.500"
    assert table.figure(None) == "–"


@pytest.mark.parametrize(
    ("accuracy", "seconds", "kept"), [(0.96, 500, True), (0.94, 500, False), (0.96, 700, False)]
)
def test_a_negative_mark_is_one_not_to_exceed(accuracy, seconds, kept):
    claims = script("claims_council")
    arms = {"switch": arm(accuracy=accuracy, seconds=seconds)}
    marks = {"accuracy": 0.95, "seconds": -600}
    assert claims.least("switch", marks, lambda _: {"arms": arms})[0] is kept


@pytest.mark.parametrize(
    ("own", "without", "kept"),
    [(1.4, 1.0, True), (1.3, 1.0, False), (1.4, 1.2, False), (1.4, 0.8, False)],
)
def test_memory_must_save_half_of_what_could_be_saved_and_lack_of_it_nothing(own, without, kept):
    claims = script("claims_council")
    arms = {
        "recur": arm(savings=own, ideal_savings=1.75),
        "recur, no memory": arm(savings=without),
    }
    assert claims.memory(lambda _: {"arms": arms})[0] is kept


@pytest.mark.parametrize(
    ("low", "control", "kept"),
    [(-1.0, 2.5, False), (0.0, 2.5, False), (0.5, 2.5, True), (0.5, 2.4, False)],
)
def test_a_gain_counts_where_its_whole_interval_is_above_nothing_at_no_more_compute(
    low, control, kept
):
    claims = script("claims_council")
    arms = {name: arm(low=-1.0) for name in ("switch", "affine", "recur")} | {"hop": arm(low=low)}
    arms["hop"]["matched"]["control_compute"] = control
    assert claims.gain(lambda _: {"arms": arms})[0] is kept


@pytest.mark.parametrize(
    ("reflex", "kept"), [((0.7, 0.7), True), ((0.85, 0.85), False), ((0.5, 1.0), False)]
)
def test_pondering_is_held_against_one_pass_from_three_hops_on(reflex, kept):
    claims = script("claims_council")

    def run(one_pass):
        return {
            "hops": {"accuracy": [0.5, 0.5] + 6 * [0.95], "reflex": [1.0, 1.0] + 6 * [one_pass]}
        }

    runs = {"hop": [run(one_pass) for one_pass in reflex]}
    assert claims.pondering(lambda _: {"runs": runs})[0] is kept
