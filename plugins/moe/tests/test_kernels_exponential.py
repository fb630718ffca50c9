from __future__ import annotations

import numpy as np
import pytest

from tropism_moe.compiling import compiled
from tropism_moe.kernels_exponential import LEAST, MOST, exponential, sigmoid, silu

F = np.float32


@compiled
def _each(x, out):
    for n in range(x.size):
        out[n] = exponential(x[n])


def in_a_loop(x):
    out = np.empty_like(x)
    _each(x, out)
    return out


def test_it_is_the_exponential_to_two_units_in_the_last_place_and_never_falls():
    x = np.linspace(LEAST, MOST, 200_001, dtype=F)
    found, exact = in_a_loop(x), np.exp(x.astype(np.float64))
    assert np.abs(found / exact - 1).max() < 1.4 * 2**-24
    assert (np.diff(found) >= 0).all()
    assert exponential(F(0)) == 1


def test_many_at_once_have_the_bits_of_one_by_one():
    x = np.random.default_rng(0).normal(0, 30, 1003).astype(F)
    assert in_a_loop(x).tobytes() == F([exponential(one) for one in x]).tobytes()


@pytest.mark.parametrize(
    ("x", "same"), [(-np.inf, LEAST), (-1e30, LEAST), (np.inf, MOST), (89, MOST)]
)
def test_what_has_no_float32_is_the_nearest_that_has(x, same):
    assert exponential(F(x)) == exponential(same)
    assert 0 < exponential(same) < np.inf


def test_no_number_stays_none():
    assert np.isnan([exponential(F(np.nan)), sigmoid(F(np.nan)), silu(F(np.nan))]).all()
    assert np.isnan(in_a_loop(np.full(33, np.nan, F))).all()


def test_sigmoid_and_silu():
    x = np.linspace(-20, 20, 1001)
    expected = 1 / (1 + np.exp(-x))
    np.testing.assert_allclose([sigmoid(F(one)) for one in x], expected, rtol=1e-5)
    np.testing.assert_allclose([silu(F(one)) for one in x], x * expected, rtol=1e-5, atol=1e-12)
    assert [sigmoid(F(-1e30)) < 1e-37, sigmoid(F(1e30)), silu(F(1e30))] == [True, 1, F(1e30)]
