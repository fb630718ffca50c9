from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import CensoredData, ecdf

from tropism.benchmarks.survival import kaplan_meier, restricted_mean
from tropism.errors import OptionError

LAGS = st.lists(st.tuples(st.integers(0, 12), st.booleans()), min_size=1, max_size=40)


def scipy_survival(times, observed, at):
    """S(at) by scipy; its curve is undefined on data without any event, where S is 1."""
    if not observed.any():
        return np.ones(len(at))
    data = CensoredData.right_censored(times, ~observed)
    return ecdf(data).sf.evaluate(at)


@given(LAGS)
def test_curve_equals_scipy(lags):
    times = np.array([t for t, _ in lags], dtype=float)
    observed = np.array([o for _, o in lags])
    t, survival = kaplan_meier(times, observed)
    assert t[0] == 0
    assert np.all(np.diff(t) > 0)
    np.testing.assert_allclose(survival, scipy_survival(times, observed, t), atol=1e-12)


@given(LAGS, st.floats(0.5, 20))
def test_restricted_mean_is_the_area_under_scipys_curve(lags, horizon):
    times = np.array([t for t, _ in lags], dtype=float)
    observed = np.array([o for _, o in lags])
    grid = np.union1d(np.arange(13.0), [horizon])
    grid = grid[grid <= horizon]
    area = np.sum(scipy_survival(times, observed, grid[:-1]) * np.diff(grid))
    assert restricted_mean(times, observed, horizon) == pytest.approx(area)


def test_without_censoring_the_restricted_mean_is_the_mean_of_the_clipped_times():
    times = np.array([1.0, 4.0, 9.0, 30.0])
    assert restricted_mean(times, np.ones(4, bool), 10.0) == pytest.approx((1 + 4 + 9 + 10) / 4)


def test_textbook_curve():
    # First times of the 6-MP arm of Freireich et al. (1963): S(6) = 4/7, S(7) = 4/7 · 2/3.
    times = np.array([6, 6, 6, 6, 7, 9, 10])
    observed = np.array([True, True, True, False, True, False, True])
    t, survival = kaplan_meier(times, observed)
    np.testing.assert_array_equal(t, [0, 6, 7, 9, 10])
    np.testing.assert_allclose(survival, [1, 4 / 7, 8 / 21, 8 / 21, 0])


def test_an_agent_that_never_recovers_gets_the_whole_horizon():
    assert restricted_mean([3, 5, 5], [False, False, False], 20) == 20


def test_an_event_at_zero_lowers_the_curve_at_once():
    t, survival = kaplan_meier([0, 0, 2, 2], [True, True, True, True])
    np.testing.assert_array_equal(t, [0, 2])
    np.testing.assert_array_equal(survival, [0.5, 0.0])


@pytest.mark.parametrize(
    ("times", "observed", "message"),
    [
        ([], [], "n >= 1"),
        ([1.0, 2.0], [True], "shape"),
        ([-1.0], [True], ">= 0"),
        ([np.nan], [True], "finite"),
        ([1.0], [1.0], "dtype"),
    ],
)
def test_bad_data_is_refused(times, observed, message):
    with pytest.raises(OptionError, match=message):
        kaplan_meier(times, observed)


@pytest.mark.parametrize("horizon", [0, -1, np.inf, np.nan])
def test_bad_horizon_is_refused(horizon):
    with pytest.raises(OptionError, match="horizon"):
        restricted_mean([1.0], [True], horizon)
