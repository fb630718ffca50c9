from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from tropism.errors import UnknownNameError
from tropism_evosax.shaping import (
    LAST,
    blend_ranks,
    place_failed,
    place_pruned,
    shaping_function,
)

NAN = float("nan")


def test_failed_and_unfinite_genomes_come_last_but_near():
    fitness = jnp.array([3.0, NAN, 100.0, -2.0, jnp.inf])
    failed = jnp.array([False, False, True, False, False])
    placed = place_failed(fitness, failed, absolute=False)
    np.testing.assert_array_equal(placed, [3.0, -3.0, -3.0, -2.0, -3.0])
    placed = place_failed(fitness, failed, absolute=True)
    np.testing.assert_array_equal(placed, [3.0, LAST, LAST, -2.0, LAST])


def test_where_all_failed_nothing_is_told():
    placed = place_failed(jnp.array([NAN, 5.0]), jnp.array([False, True]), absolute=False)
    np.testing.assert_array_equal(placed, [0.0, 0.0])


def test_pruned_genomes_keep_their_order_behind_the_others():
    score = jnp.array([50.0, 40.0, 0.0, 0.0, 0.0])
    proxy = jnp.array([9.0, 9.0, 7.0, 4.0, 0.0])
    pruned = jnp.array([False, False, True, True, False])
    failed = jnp.array([False, False, False, False, True])
    placed = place_pruned(score, proxy, pruned, failed)
    np.testing.assert_array_equal(placed[:4], [50.0, 40.0, 39.0, 36.0])


def test_blending_is_between_both_rankings():
    fitness, novelty = jnp.array([1.0, 2.0, 3.0]), jnp.array([30.0, 20.0, 10.0])
    np.testing.assert_allclose(blend_ranks(fitness, novelty, 0.0), [0.0, 0.5, 1.0])
    np.testing.assert_allclose(blend_ranks(fitness, novelty, 1.0), [1.0, 0.5, 0.0])
    np.testing.assert_allclose(blend_ranks(fitness, novelty, 0.5), [0.5, 0.5, 0.5])


def test_an_unknown_shaping_suggests_near_ones():
    with pytest.raises(UnknownNameError, match="z-score"):
        shaping_function("zscore")
