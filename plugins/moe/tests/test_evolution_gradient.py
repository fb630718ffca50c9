from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plugins.moe.tests.adapting import quick, seeds

from tropism_moe.evolution import antithetic, evolution_gradient


@quick
@given(st.integers(1, 5), st.integers(1, 4), st.floats(0.01, 2), seeds, st.booleans())
def test_an_evolution_gradient_is_the_sum_of_directions_by_rank(half, size, sigma, seed, ties):
    rng = np.random.default_rng(seed)
    noise = antithetic(2 * half, size, rng)
    np.testing.assert_array_equal(noise[half:], -noise[:half])
    losses = rng.integers(0, 3, 2 * half) if ties else rng.standard_normal(2 * half)
    by_hand = np.zeros(size)
    for m in range(2 * half):
        below = sum(losses[m] > other for other in losses)
        equal = sum(losses[m] == other for other in losses) - 1
        by_hand += ((below + equal / 2) / (2 * half - 1) - 0.5) * noise[m] / (2 * half * sigma)
    np.testing.assert_allclose(evolution_gradient(noise, losses, sigma), by_hand, atol=1e-12)
    monotone = np.exp(3 * losses.astype(float)) + 7
    np.testing.assert_array_equal(
        evolution_gradient(noise, monotone, sigma), evolution_gradient(noise, losses, sigma)
    )


@pytest.mark.parametrize(("population", "sigma"), [(4, 0.5), (16, 0.01), (64, 0.1)])
def test_the_mean_update_lies_along_the_gradient_and_is_as_long_as_said(population, sigma):
    rng, slope = np.random.default_rng(0), np.array([3.0, -4.0, 0, 0, 0])
    noises = [antithetic(population, 5, rng) for _ in range(24_000 // population)]
    mean = np.mean([evolution_gradient(e, sigma * e @ slope, sigma) for e in noises], 0)
    along, across = mean @ slope / 5, np.linalg.norm(mean - (mean @ slope / 25) * slope)
    length = (population - 2) / math.sqrt(4 * math.pi) + 1 / math.sqrt(2 * math.pi)
    assert along == pytest.approx(length / (population - 1) / sigma, rel=0.04)
    assert across < 0.06 * along


def test_an_evolution_strategy_descends_a_quadratic():
    rng, sigma = np.random.default_rng(0), 0.05
    x = np.ones(20)
    curvature = np.linspace(0.5, 3, 20)
    start = curvature @ x**2
    for _ in range(300):
        noise = antithetic(16, 20, rng)
        losses = ((x + sigma * noise) ** 2) @ curvature
        x = x - 0.02 * evolution_gradient(noise, losses, sigma)
    assert curvature @ x**2 < 0.05 * start


def test_equal_losses_move_nothing_and_infinity_is_merely_the_worst():
    noise = antithetic(6, 3, np.random.default_rng(0))
    assert np.abs(evolution_gradient(noise, np.full(6, 2.5), 0.1)).max() < 1e-15
    worst = [0.0, 1.0, 2.0, 3.0, 4.0, np.inf]
    np.testing.assert_array_equal(
        evolution_gradient(noise, worst, 0.1), evolution_gradient(noise, range(6), 0.1)
    )
