from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tropism.errors import ArtifactError, OptionError
from tropism_moe.calibration import LEAST, Calibration, expected_calibration_error
from tropism_moe.ensemble import PERSPECTIVES, decide, disagreement, perspectives
from tropism_moe.lattice import Lattice, distance

quickly = settings(deadline=None, max_examples=60, derandomize=True)
ONE_OF_THREE = np.log(np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]]))


def answers(rng, perspectives=4, queries=5, actions=6, scale=2.0):
    """Random log-probabilities ``float64[K, N, V]``."""
    logits = rng.normal(size=(perspectives, queries, actions)) * scale
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


def overconfident(rng, n):
    """Pairs whose accuracy is the fourth power of their confidence."""
    confidence = 1 - rng.random(n) ** 2 / 2
    return confidence, rng.random(n) < confidence**4


def test_each_perspective_asks_the_expert_of_its_name():
    rng, lattice = np.random.default_rng(0), Lattice()
    z = rng.random((40, 3))
    got = perspectives(z, lattice.positions, np.random.default_rng(1))
    assert got.shape == (len(PERSPECTIVES), 40)
    for query, (nearest, second, antipode, _) in zip(z, got.T, strict=True):
        order = sorted(range(128), key=lambda e: (float(distance(query, lattice.positions[e])), e))
        assert [nearest, second] == order[:2]
        other = [float(distance(query + 0.5, p)) for p in lattice.positions]
        assert antipode == int(np.argmin(other))
        assert lattice.hops(nearest, antipode) == 8  # as far as can be: 4 + 2 + 2
    assert len(set(got[3].tolist())) > 20


def test_of_equally_near_experts_the_first_two_are_nearest_and_second():
    lattice = Lattice()
    corners = lattice.positions - np.array([1 / 16, 1 / 8, 1 / 8])
    got = perspectives(corners, lattice.positions, np.random.default_rng(0))
    for corner, (nearest, second, *_) in zip(corners, got.T, strict=True):
        away = distance(corner, lattice.positions)
        assert [nearest, second] == np.flatnonzero(away == away.min())[:2].tolist()


def test_perspectives_follow_the_seed_and_reach_every_expert_at_random():
    z, positions = np.random.default_rng(0).random((3000, 3)), Lattice((4, 2, 2)).positions
    one, same, other = (perspectives(z, positions, np.random.default_rng(s)) for s in (5, 5, 6))
    assert np.array_equal(one, same)
    assert np.array_equal(one[:3], other[:3])
    assert not np.array_equal(one[3], other[3])
    assert np.bincount(one[3], minlength=16).min() > 100


def test_layers_may_have_positions_of_their_own():
    rng = np.random.default_rng(0)
    z, positions = rng.random((3, 3)), rng.random((3, 10, 3))
    got = perspectives(z, positions, np.random.default_rng(1))
    for layer in range(3):
        alone = perspectives(z[layer], positions[layer], np.random.default_rng(1))
        assert got[:3, layer].tolist() == alone[:3].tolist()


def test_one_expert_has_no_perspectives():
    with pytest.raises(OptionError, match="at least 2 experts, got 1"):
        perspectives(np.zeros(3), Lattice((1, 1, 1)).positions, np.random.default_rng(0))


@quickly
@given(st.integers(0, 10_000), st.integers(2, 5), st.integers(2, 6), st.floats(0, 30))
def test_the_disagreement_is_that_of_a_slow_loop_in_0_to_1_and_knows_no_order(seed, k, v, scale):
    rng = np.random.default_rng(seed)
    logs = answers(rng, k, 3, v, scale)
    got = disagreement(logs)
    for n in range(3):
        p = np.exp(logs[:, n]).tolist()
        mean = [sum(p[i][j] for i in range(k)) / k for j in range(v)]
        entropies = [-sum(x * math.log(x) for x in row if x > 0) for row in [mean, *p]]
        slow = (entropies[0] - sum(entropies[1:]) / k) / math.log(min(k, v))
        assert got[n] == pytest.approx(slow, abs=1e-9)
    assert ((got >= 0) & (got <= 1)).all()
    np.testing.assert_allclose(disagreement(logs[rng.permutation(k)]), got, atol=1e-12)


@quickly
@given(st.integers(0, 10_000), st.integers(2, 5))
def test_identical_answers_do_not_disagree(seed, k):
    one = answers(np.random.default_rng(seed), 1)
    got = disagreement(np.repeat(one, k, 0))
    assert (got <= (0 if k in (2, 4) else 1e-15)).all()


def test_answers_that_share_no_action_disagree_wholly_whichever_is_fewer():
    with np.errstate(divide="ignore"):
        assert disagreement(np.log(np.eye(4))) == pytest.approx(1)  # four of four
        assert disagreement(np.log(np.eye(6)[:3])) == pytest.approx(1)  # three answers, six actions
        assert disagreement(np.log(np.eye(2)[[0, 1, 0, 1]])) == pytest.approx(1)  # two actions


def test_agreement_follows_the_nearest_experts_though_others_outvote_it():
    logs = np.log([[0.51, 0.49], [0.49, 0.51], [0.49, 0.51]])
    got = decide(logs)
    assert got.disagreement < 0.01
    assert (got.action, got.settled) == (0, True)
    assert got.confidence == pytest.approx((0.51 + 0.49 + 0.49) / 3)
    assert decide(logs[:2]).settled  # one of two is no majority, but they hardly disagree


def test_in_disagreement_the_majority_decides():
    logs = np.log([[0.98, 0.01, 0.01], [0.01, 0.98, 0.01], [0.01, 0.98, 0.01]])
    got = decide(logs)
    assert got.disagreement > 0.15
    assert (got.action, got.settled) == (1, True)
    assert got.confidence == pytest.approx((0.01 + 0.98 + 0.98) / 3)


def test_without_a_majority_the_nearest_experts_decide_and_it_is_said():
    got = decide(ONE_OF_THREE[[1, 0, 2]])
    assert got.disagreement > 0.15
    assert (got.action, got.settled) == (1, False)
    half = decide(np.log([[0.01, 0.99], [0.01, 0.99], [0.99, 0.01], [0.99, 0.01]]))
    assert (half.action, half.settled) == (1, False)  # two of four are no majority


def test_the_threshold_decides_what_agreement_is():
    logs = np.log([[0.98, 0.01, 0.01], [0.01, 0.98, 0.01], [0.01, 0.98, 0.01]])
    assert decide(logs, 1.0).action == 0
    mild = np.log([[0.6, 0.4], [0.4, 0.6], [0.4, 0.6]])
    assert (decide(mild).action, decide(mild, 0.0).action) == (0, 1)


def test_many_queries_are_decided_as_each_alone():
    logs = answers(np.random.default_rng(0), 4, 50, 3)
    together = decide(logs)
    alone = [decide(logs[:, n]) for n in range(50)]
    for field in together._fields:
        got = [getattr(one, field).item() for one in alone]
        assert getattr(together, field).tolist() == got
    assert 0 < together.settled.sum() < 50


@pytest.mark.parametrize(
    ("logs", "says"),
    [
        (np.log([[0.5, 0.5]]), "K and V at least 2"),
        (np.zeros((3, 1)), "K and V at least 2"),
        (np.zeros(3), "K and V at least 2"),
        (np.zeros((2, 3)), "sums from 3 to 3"),
        (np.full((2, 3), np.nan), "look for NaN"),
        (np.full((2, 3), np.inf), "apply log_softmax"),
    ],
)
def test_what_is_no_set_of_log_probabilities_is_refused(logs, says):
    for use in (disagreement, decide):
        with pytest.raises(OptionError, match=says):
            use(logs)


def test_a_threshold_outside_0_to_1_is_refused():
    with pytest.raises(OptionError, match=r"threshold of disagreement.*1\.5"):
        decide(ONE_OF_THREE, 1.5)


@quickly
@given(st.integers(0, 10_000), st.integers(1, 60), st.integers(1, 20))
def test_the_calibration_error_is_that_of_a_slow_loop(seed, n, bins):
    rng = np.random.default_rng(seed)
    confidence, right = rng.integers(0, 41, n) / 40, rng.random(n) < 0.6
    slow = 0.0
    for b in range(bins):
        last = b == bins - 1
        inside = [
            i
            for i in range(n)
            if b <= confidence[i] * bins < b + 1 or (last and confidence[i] == 1)
        ]
        if inside:
            gap = np.mean(confidence[inside]) - np.mean(right[inside])
            slow += len(inside) / n * abs(gap)
    assert expected_calibration_error(confidence, right, bins) == pytest.approx(slow, abs=1e-12)


def test_the_calibration_error_of_known_cases():
    assert expected_calibration_error([1.0, 1.0], [True, True]) == 0
    assert expected_calibration_error([1.0, 1.0], [False, False]) == 1
    assert expected_calibration_error([0.5] * 4, [True, True, False, False]) == 0
    assert expected_calibration_error([0.9] * 4, [1, 1, 0, 0]) == pytest.approx(0.4)


@quickly
@given(st.integers(0, 10_000), st.sampled_from([3, 20, 1000]))
def test_the_fit_is_isotonic_regression_of_all_pairs_and_ties_are_pooled(seed, levels):
    rng = np.random.default_rng(seed)
    confidence, right = rng.integers(0, levels + 1, LEAST) / levels, rng.random(LEAST) < 0.5
    order = np.argsort(confidence, kind="stable")
    x, y = confidence[order], right[order].astype(float)
    starts = np.searchsorted(x, x, "left")
    ends = np.searchsorted(x, x, "right")
    total = np.append(0, np.cumsum(y))
    fit = Calibration.fit(confidence, right)
    for i in range(0, LEAST, 9):  # the min-max formula, over whole ties
        slow = max(
            min((total[e] - total[s]) / (e - s) for e in np.unique(ends[i:]))
            for s in np.unique(starts[: i + 1])
        )
        assert fit.apply(x[i]) == pytest.approx(slow, abs=1e-9)


@quickly
@given(st.integers(0, 10_000))
def test_the_map_never_falls_and_stays_between_what_it_has_seen(seed):
    rng = np.random.default_rng(seed)
    fit = Calibration.fit(0.3 + 0.4 * rng.random(LEAST), rng.random(LEAST) < rng.random())
    got = fit.apply(np.linspace(0, 1, 501))
    assert (np.diff(got) >= 0).all()
    assert ((got >= 0) & (got <= 1)).all()
    assert got[0] == fit.accuracy[0]
    assert got[-1] == fit.accuracy[-1]


@pytest.mark.parametrize("seed", range(3))
def test_calibrated_confidence_is_right_on_episodes_that_were_not_fitted(seed):
    rng = np.random.default_rng(seed)
    before, after = Calibration.fit(*overconfident(rng, 2000)).errors(*overconfident(rng, 4000))
    assert before > 0.2
    assert after <= 0.05


def test_errors_measures_the_claims_before_and_after_the_map():
    fit = Calibration((0.0, 1.0), (0.5, 0.5))
    assert fit.errors([0.9] * 4, [1, 1, 0, 0]) == pytest.approx((0.4, 0.0))


def test_a_map_that_was_read_is_the_map_that_was_written_to_the_bit():
    fit = Calibration.fit(*overconfident(np.random.default_rng(0), 500))
    again = Calibration.from_json(fit.to_json())
    assert again == fit
    assert again.to_json() == fit.to_json()
    x = np.linspace(0, 1, 1001)
    assert np.array_equal(again.apply(x), fit.apply(x))
    assert len(fit.confidence) < 100  # knots that say nothing are left out


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        '{"confidence": [0.5]}',
        '{"confidence": [0.5, 0.5], "accuracy": [0.1, 0.2]}',
        '{"confidence": [0.1, 0.5], "accuracy": [0.3, 0.2]}',
        '{"confidence": [0.1, 0.5], "accuracy": [0.3]}',
        '{"confidence": [], "accuracy": []}',
        '{"confidence": [0.1, NaN], "accuracy": [0.3, 0.4]}',
        '{"confidence": [0.1, 1.5], "accuracy": [0.3, 0.4]}',
        '{"confidence": [0.1, "x"], "accuracy": [0.3, 0.4]}',
        json.dumps({"confidence": [0.1, 0.5], "accuracy": [0.3, 0.4]})[:-1],
    ],
)
def test_a_text_that_is_no_calibration_is_refused(text):
    with pytest.raises(ArtifactError, match="calibration: expected JSON"):
        Calibration.from_json(text)


@pytest.mark.parametrize(
    ("confidence", "right", "says"),
    [
        ([0.5] * (LEAST - 1), [1] * (LEAST - 1), "at least 100"),
        ([0.5] * LEAST, [1] * (LEAST + 1), "one length"),
        ([[0.5] * LEAST], [[1] * LEAST], "one length"),
        (
            [math.nan] + [0.5] * (LEAST - 1),
            [1] * LEAST,
            r"confidence.*\[0, 1\], got nan and 0 more",
        ),
        ([1.01, -0.2] + [0.5] * (LEAST - 2), [1] * LEAST, "got 1.01 and 1 more"),
        ([0.5] * LEAST, [math.nan] + [1] * (LEAST - 1), "outcomes"),
        ([0.5] * LEAST, [2] + [1] * (LEAST - 1), "outcomes"),
    ],
)
def test_pairs_that_cannot_be_fitted_are_refused(confidence, right, says):
    with pytest.raises(OptionError, match=says):
        Calibration.fit(confidence, right)


def test_claims_outside_0_to_1_are_refused_when_applied_and_bins_below_1_always():
    fit = Calibration((0.0, 1.0), (0.0, 1.0))
    for claim in (1.5, math.nan):
        with pytest.raises(OptionError, match="confidence"):
            fit.apply(claim)
    with pytest.raises(OptionError, match="bins of the calibration error"):
        expected_calibration_error([0.5], [1], 0)
    with pytest.raises(OptionError, match="at least 1"):
        expected_calibration_error([], [])
