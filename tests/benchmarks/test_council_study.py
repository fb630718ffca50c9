"""The parts of the council's study that are not a run: a learner that solves for rules, and the reliability of a gate."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
