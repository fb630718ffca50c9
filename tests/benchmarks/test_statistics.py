from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import scipy.stats

from tropism.benchmarks import statistics
from tropism.benchmarks.statistics import (
    Interval,
    interval,
    iqm,
    mean,
    median,
    paired_difference,
    probability_of_improvement,
)
from tropism.errors import OptionError

RLIABLE = json.loads((Path(__file__).parent / "data" / "rliable.json").read_text())
A, B = np.array(RLIABLE["a"]), np.array(RLIABLE["b"])
AGGREGATES = {"mean": mean, "median": median, "iqm": iqm}
RNG = np.random.default_rng(5)


def ends(result):
    return np.array([result.low, result.high])


# --- aggregates


@pytest.mark.parametrize("name", AGGREGATES)
def test_aggregates_equal_rliables(name):
    assert AGGREGATES[name](A) == pytest.approx(RLIABLE["results"][name]["estimate"], abs=1e-12)


@pytest.mark.parametrize("shape", [(1, 1), (3, 1), (3, 2), (5, 7), (10, 26)])
def test_iqm_equals_scipys_trimmed_mean(shape):
    scores = RNG.normal(size=(4, *shape))
    expected = [scipy.stats.trim_mean(x.ravel(), 0.25) for x in scores]
    np.testing.assert_allclose(iqm(scores), expected)


@pytest.mark.parametrize("name", AGGREGATES)
def test_aggregates_work_on_stacks(name):
    scores = RNG.normal(size=(3, 2, 6, 4))
    stacked = AGGREGATES[name](scores)
    assert stacked.shape == (3, 2)
    assert stacked[1, 1] == pytest.approx(AGGREGATES[name](scores[1, 1]))


# --- intervals


@pytest.mark.parametrize("name", AGGREGATES)
def test_intervals_equal_rliables_up_to_monte_carlo_error(name):
    result = interval(A, AGGREGATES[name], replicates=20_000)
    np.testing.assert_allclose(ends(result), RLIABLE["results"][name]["interval"], atol=0.007)


def test_interval_equals_scipys_stratified_bootstrap():
    scores = RNG.gamma(2.0, size=(12, 4))
    expected = scipy.stats.bootstrap(
        tuple(scores.T),
        lambda *tasks, axis: scipy.stats.trim_mean(
            np.concatenate(tasks, axis=axis), 0.25, axis=axis
        ),
        n_resamples=20_000,
        method="percentile",
        rng=np.random.default_rng(1),
    ).confidence_interval
    result = interval(scores, replicates=20_000)
    assert result.estimate == pytest.approx(scipy.stats.trim_mean(scores.ravel(), 0.25))
    np.testing.assert_allclose(
        ends(result), expected, atol=0.02 * (result.high - result.low) + 0.01
    )


def test_interval_of_the_mean_of_one_task_has_the_textbook_width():
    scores = RNG.normal(size=400)
    result = interval(scores, mean, replicates=10_000, confidence=0.9)
    half = 1.645 * scores.std() / np.sqrt(400)
    np.testing.assert_allclose(
        ends(result), [scores.mean() - half, scores.mean() + half], atol=0.01
    )


def test_tasks_are_resampled_independently():
    # Two tasks that cancel run by run: resampling whole rows would give a width of zero.
    column = np.arange(20.0)
    assert np.ptp(ends(interval(np.stack([column, -column], axis=1), mean))) > 1


def test_results_repeat_from_the_seed_and_differ_between_seeds():
    scores = RNG.normal(size=(10, 3))
    assert interval(scores, seed=3) == interval(scores, seed=3)
    assert interval(scores, seed=3) != interval(scores, seed=4)
    assert paired_difference(scores, scores**2) == paired_difference(scores, scores**2)
    first = probability_of_improvement(scores, scores + 1, seed=3)
    assert first == probability_of_improvement(scores, scores + 1, seed=3)


def test_large_inputs_are_resampled_in_chunks(monkeypatch):
    scores, sizes = RNG.normal(size=(10, 3)), []
    whole = interval(scores, replicates=1000)
    monkeypatch.setattr(statistics, "_CHUNK", 30 * 64)

    def watched(x):
        sizes.append(len(x) if x.ndim == 3 else 0)
        return iqm(x)

    chunked = interval(scores, watched, replicates=1000)
    assert max(sizes) == 64
    assert sum(sizes) == 1000
    np.testing.assert_allclose(ends(chunked), ends(whole), atol=0.1)


@pytest.mark.parametrize(("runs", "warns"), [(1, True), (3, True), (9, True), (10, False)])
def test_fewer_than_ten_runs_carry_a_warning(runs, warns):
    scores = RNG.normal(size=(runs, 2))
    enough = RNG.normal(size=(12, 2))
    for result in (
        interval(scores),
        paired_difference(scores, scores + 1),
        probability_of_improvement(enough, scores),
    ):
        assert isinstance(result, Interval)
        assert result.n_runs == runs
        assert bool(result.warning) == warns
        assert (f"{runs} run" in result.warning) == warns


def test_one_run_has_an_interval_of_no_width():
    result = interval([[0.25, 0.75]], mean)
    assert (result.low, result.estimate, result.high) == (0.5, 0.5, 0.5)
    assert result.warning.startswith("1 run a task")


# --- two agents


def test_pairs_cancel_what_they_share():
    shared = RNG.normal(scale=10, size=(20, 3))
    a = shared + 0.5 + 0.01 * RNG.normal(size=(20, 3))
    result = paired_difference(a, shared, mean)
    assert result.low < result.estimate < result.high
    assert result.high - result.low < 0.05
    assert result.estimate == pytest.approx(0.5, abs=0.02)


def test_paired_difference_of_means_is_the_bootstrap_of_the_differences():
    a, b = RNG.normal(size=(15, 2)), RNG.normal(size=(15, 2))
    assert ends(paired_difference(a, b, mean)) == pytest.approx(ends(interval(a - b, mean)))


def test_probability_of_improvement_equals_mann_whitney_and_rliable():
    result = probability_of_improvement(A, B, replicates=20_000)
    u = [scipy.stats.mannwhitneyu(A[:, t], B[:, t]).statistic for t in range(A.shape[1])]
    assert result.estimate == pytest.approx(np.mean(u) / (len(A) * len(B)))
    expected = RLIABLE["results"]["probability_of_improvement"]
    assert result.estimate == pytest.approx(expected["estimate"])
    np.testing.assert_allclose(ends(result), expected["interval"], atol=0.015)


def test_probability_of_improvement_of_equals_is_one_half():
    assert probability_of_improvement(np.ones((4, 2)), np.ones((5, 2))).estimate == 0.5
    certain = probability_of_improvement(np.ones(4), np.zeros(5))
    assert (certain.low, certain.estimate, certain.high) == (1.0, 1.0, 1.0)


# --- bad input


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: interval([]), "shape"),
        (lambda: interval(np.zeros((2, 2, 2))), "shape"),
        (lambda: interval([[1.0, np.nan]]), "nan at run 0, task 1"),
        (lambda: interval([1.0], confidence=1.0), "confidence=1.0"),
        (lambda: interval([1.0], replicates=0), "replicates=0"),
        (lambda: paired_difference([1.0], [1.0, 2.0]), "same shape"),
        (lambda: probability_of_improvement(np.ones((2, 2)), np.ones((2, 3))), "same tasks"),
    ],
)
def test_bad_scores_and_options_are_refused(call, message):
    with pytest.raises(OptionError, match=message):
        call()
