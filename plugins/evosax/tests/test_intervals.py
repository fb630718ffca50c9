from __future__ import annotations

import math

import numpy as np
import pytest

from tropism_evosax.intervals import mean_interval, shown


def test_means_have_students_interval():
    mean, low, high = mean_interval([1.0, 2.0, 3.0, 4.0])
    assert mean == 2.5
    assert high - mean == pytest.approx(3.182446 * 1.290994 / 2, rel=1e-5)  # t(.975, 3) s / sqrt(n)
    assert mean - low == pytest.approx(high - mean)


def test_proportions_have_wilsons():
    share, low, high = mean_interval(np.arange(10) < 3)
    assert (share, low, high) == pytest.approx((0.3, 0.107789, 0.603222), abs=1e-5)
    assert mean_interval(np.ones(20, bool)) == pytest.approx((1, 0.838875, 1), abs=1e-5)


def test_intervals_cover_what_they_should():
    rng = np.random.default_rng(0)
    ends = [mean_interval(rng.exponential(size=64)) for _ in range(400)]
    assert 0.9 < np.mean([low < 1 < high for _, low, high in ends]) < 0.98


def test_one_value_has_no_interval():
    alone = mean_interval([3.0])
    assert alone == (3.0, -math.inf, math.inf)
    assert shown(alone, 1) == "3.0"
    assert shown(mean_interval([3.0, 3.0]), 2) == "3.00 [3.00, 3.00]"
