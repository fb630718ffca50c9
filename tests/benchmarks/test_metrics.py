from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu, rankdata, spearmanr

from tropism.benchmarks.metrics import METRICS, find_metric, regret_curve
from tropism.benchmarks.metrics.calibration import calibration_error
from tropism.benchmarks.metrics.compute import (
    alignment,
    depth_correlation,
    mean_compute,
    surprise_correlation,
    wall_time,
)
from tropism.benchmarks.metrics.episodes import since_switch
from tropism.benchmarks.metrics.lag import (
    HORIZON,
    Lag,
    excess_lag,
    lags,
    restricted_mean_lag,
    savings,
)
from tropism.benchmarks.metrics.ranks import auroc, midranks, spearman
from tropism.benchmarks.metrics.regret import false_alarms, perseveration
from tropism.benchmarks.metrics.score import accuracy, log_regret, normalised_score, score
from tropism.errors import ArtifactError, OptionError, UnknownNameError

BITS = st.lists(st.integers(0, 1), min_size=30, max_size=60)


# -- score ------------------------------------------------------------------------------------------------


def test_accuracy_and_score_by_hand(episode):
    both = [episode([1, 1, 0, 1]), episode([0, 0, 0, 1])]
    assert accuracy(both) == 4 / 8
    assert score(both) == (3 + 1) / 2


def test_normalised_score_by_hand(episode):
    ideal, random = [episode([1, 1, 1, 1])], [episode([1, 0, 0, 0])]
    assert normalised_score([episode([1, 1, 0, 0])], ideal, random) == pytest.approx(
        (2 - 1) / (4 - 1)
    )
    assert normalised_score(ideal, ideal, random) == 1
    assert normalised_score(random, ideal, random) == 0
    assert np.isnan(normalised_score(ideal, random, random))


def test_log_regret_by_hand(episode):
    ideal = [episode([1, 1], target_log_prob=np.log([1.0, 0.5]))]
    agent = [episode([1, 1], target_log_prob=np.log([0.5, 0.25]))]
    assert log_regret(agent, ideal) == pytest.approx(np.log(2))
    assert log_regret(ideal, ideal) == 0


def test_log_regret_floors_what_was_called_impossible(episode):
    ideal = [episode([1, 1], target_log_prob=np.array([0.0, 0.0]))]
    agent = [episode([1, 1], target_log_prob=np.array([-np.inf, 0.0]))]
    assert log_regret(agent, ideal) == 10.0


def test_log_regret_needs_probabilities(episode):
    assert np.isnan(log_regret([episode([1])], [episode([1])]))


# -- lag --------------------------------------------------------------------------------------------------


def test_lag_is_the_start_of_the_first_run_of_three(episode):
    one = episode([1, 1, 1, 0, 1, 1, 0, 1, 1, 1, 0], switches=[3])
    assert list(lags(one)) == [Lag(4, True, True)]


def test_a_run_that_crosses_the_next_switch_does_not_count(episode):
    one = episode([1, 0, 0, 1, 1, 1, 1, 1], switches=[1, 5])
    # Regime [1, 5): starts 1, 2 were looked at and failed, so the lag is censored at l = 1; [5, 8) recovers.
    assert list(lags(one)) == [Lag(1, False, True), Lag(0, True, True)]


def test_regimes_shorter_than_a_run_carry_no_information(episode):
    assert list(lags(episode([1, 1, 1, 1, 0, 1, 1, 1], switches=[3, 5]))) == [Lag(0, True, True)]
    assert np.isnan(restricted_mean_lag([episode([1, 1, 1])]))


def test_restricted_mean_lag_by_hand(episode):
    # One lag of 2 observed; one censored at 1: S = 1 on [0, 2), 0 after: the mean is 2.
    one = episode([0, 0, 0, 1, 1, 1, 0, 0, 0, 0], switches=[1, 6])
    assert list(lags(one)) == [Lag(2, True, True), Lag(1, False, True)]
    assert restricted_mean_lag([one]) == 2


def test_an_agent_that_never_recovers_gets_the_horizon(episode):
    assert restricted_mean_lag([episode([0] * 60, switches=[10])]) == HORIZON


def test_excess_lag_by_hand(episode):
    ideal = [episode([1, 0, 1, 1, 1, 1, 1], switches=[1])]
    agent = [episode([1, 0, 0, 0, 1, 1, 1], switches=[1])]
    assert excess_lag(agent, ideal) == 3 - 1
    assert excess_lag(ideal, ideal) == 0


def test_savings_by_hand(episode):
    right = [1, 1, 0, 0, 1, 1, 1, 0, 1, 1, 1, 0, 1, 1, 1]
    rule = [0, 0, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1]
    assert savings([episode(right, [2, 7, 11], rule=rule)]) == 2 / 1


def test_savings_needs_a_second_visit(episode):
    assert np.isnan(savings([episode([1, 0, 1, 1, 1], [1])]))


# -- regret -----------------------------------------------------------------------------------------------


def test_since_switch_ignores_the_start_of_the_episode(episode):
    np.testing.assert_array_equal(since_switch(episode([1] * 6, [2, 5])), [-1, -1, 0, 1, 2, 0])


def test_regret_curve_by_hand(episode):
    ideal = [episode([1, 0, 1, 1, 0, 1], switches=[1, 4])]
    agent = [episode([0, 0, 0, 1, 0, 0], switches=[1, 4])]
    np.testing.assert_array_equal(regret_curve(agent, ideal, window=3), [0, 1, 0, np.nan])


@given(BITS, st.sets(st.integers(1, 29)))
def test_nobody_regrets_against_itself(episode, right, switches):
    one = [episode(right, sorted(switches))]
    curve = regret_curve(one, one)
    assert np.all((curve == 0) | np.isnan(curve))
    assert np.nan_to_num(excess_lag(one, one)) == 0
    assert np.nan_to_num(false_alarms(one, one)) == 0


def test_perseveration_by_hand(episode):
    # The wrong answer is 3. Steps 2, 3 and 5 are chances (the stale rule says 3); 4 agrees with the target.
    stale = [-1, 3, 3, 3, 7, 3, 9]
    one = episode([1, 0, 0, 1, 0, 0, 0], [1], stale=stale)
    # Step 6 is a chance too (9 is wrong), but the answer 3 is a new error: 2 of 4.
    assert perseveration([one]) == 2 / 4
    # At step 5 the rules agree and noise made 7 the target; at 4 noise hides that they differ.
    clean = {"rule_target": np.array([7, 7, 7, 7, 3, 3, 7])}
    assert perseveration([episode([1, 0, 0, 1, 0, 0, 0], [1], stale=stale, labels=clean)]) == 1 / 4
    assert np.isnan(perseveration([episode([1, 1])]))


def test_false_alarms_by_hand(episode):
    right, best = np.ones(21, int), np.ones(21, int)
    right[[3, 14, 15]] = 0  # 3 is within the window; 14 and 15 are stable, the ideal misses 15 too
    best[15] = 0
    agent, ideal = [episode(right, [1])], [episode(best, [1])]
    assert false_alarms(agent, ideal) == pytest.approx(
        100 * 1 / 9
    )  # since 11 .. 19: nine stable steps


def test_references_must_have_played_the_same_seeds_and_switches(episode):
    with pytest.raises(ArtifactError, match="not 5"):
        excess_lag([episode([1], seed=5)], [episode([1], seed=6)])
    with pytest.raises(ArtifactError, match="switch at different steps"):
        excess_lag([episode([1, 1], [1])], [episode([1, 1])])


# -- calibration and compute ------------------------------------------------------------------------------


def test_calibration_error_by_hand(episode):
    one = episode([1, 0, 1, 1], action_log_prob=np.log([0.9, 0.95, 0.55, 0.5]))
    # Bin .9: accuracy .5, confidence .925; bin .5: accuracy 1, confidence .525.
    assert calibration_error([one]) == pytest.approx(0.5 * 0.425 + 0.5 * 0.475)
    assert np.isnan(calibration_error([episode([1])]))


def test_a_certain_and_right_agent_is_calibrated(episode):
    assert calibration_error([episode([1, 1], action_log_prob=np.zeros(2))]) == 0


def test_compute_metrics_by_hand(episode):
    one = episode([1] * 7, [1], compute=[9, 1, 5, 5, 1, 1, 1], wall_us=4.0)
    assert mean_compute([one]) == pytest.approx(23 / 7)
    assert wall_time([one]) == 4.0
    # After the switch: positives (since 1..3) 5, 5, 1; negatives 1, 1, 1: (3 + 3 + 1.5) / 9.
    assert alignment([one]) == pytest.approx(7.5 / 9)


def test_constant_compute_knows_nothing(episode):
    assert alignment([episode([1] * 9, [1])]) == 0.5


def test_correlations_follow_the_label(episode):
    labels = {"required_compute": np.array([1, 2, 3]), "belief_kl": np.array([0.3, 0.2, 0.1])}
    one = episode([1, 1, 1], compute=[1, 4, 9], labels=labels)
    assert depth_correlation([one]) == pytest.approx(1)
    assert surprise_correlation([one]) == pytest.approx(-1)
    with pytest.raises(OptionError, match="required_compute"):
        depth_correlation([episode([1])])


@given(st.lists(st.integers(0, 4), min_size=2, max_size=30), st.data())
def test_rank_statistics_equal_scipy(x, data):
    y = data.draw(st.lists(st.integers(0, 4), min_size=len(x), max_size=len(x)))
    np.testing.assert_array_equal(midranks(x), rankdata(x))
    if len(set(x)) > 1 and len(set(y)) > 1:
        assert spearman(x, y) == pytest.approx(spearmanr(x, y).statistic)
    else:
        assert np.isnan(spearman(x, y))
    mask = np.array(y) > 2
    if mask.any() and not mask.all():
        u = mannwhitneyu(np.array(x)[mask], np.array(x)[~mask]).statistic
        assert auroc(x, mask) == pytest.approx(u / (mask.sum() * (~mask).sum()))
    else:
        assert np.isnan(auroc(x, mask))


# -- the table --------------------------------------------------------------------------------------------


def test_unknown_metrics_are_answered_with_the_nearest():
    with pytest.raises(UnknownNameError, match="excess-lag"):
        find_metric("excess_lag")


def test_a_metric_that_does_not_apply_is_nan(episode):
    plain = [episode([1, 0])]
    assert np.isnan(find_metric("nis")(plain, {}))
    assert np.isnan(find_metric("belief-rho")(plain, {}))


@given(BITS, BITS, st.sets(st.integers(1, 29)))
def test_every_metric_answers_on_every_episode(episode, right, best, switches):
    n = min(len(right), len(best))
    ours = [episode(right[:n], sorted(switches))]
    ideal, random = [episode(best[:n], sorted(switches))], [episode([0] * n, sorted(switches))]
    for metric in METRICS.values():
        assert isinstance(metric(ours, {"ideal": ideal, "random": random}), float)
