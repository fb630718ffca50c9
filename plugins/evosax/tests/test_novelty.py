from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from tropism_evosax.novelty import BEHAVIOUR, Archive, empty, novelty, remember

SIZE = len(BEHAVIOUR)


def rows(*values):
    return jnp.array(values, jnp.float32)[:, None] * jnp.ones(SIZE) / SIZE**0.5


def test_novelty_is_the_mean_distance_to_the_nearest():
    behaviours = rows(0.0, 1.0, 5.0)
    np.testing.assert_allclose(novelty(empty(4), behaviours, 1), [1, 1, 4], rtol=1e-6)
    np.testing.assert_allclose(novelty(empty(4), behaviours, 2), [3, 2.5, 4.5], rtol=1e-6)


def test_what_was_seen_is_not_novel():
    archive = remember(empty(4), rows(5.0), jnp.ones(1), 1)
    before, after = (novelty(a, rows(0.0, 5.0), 1) for a in (empty(4), archive))
    assert float(before[1]) == pytest.approx(5.0, rel=1e-6)
    assert float(after[1]) == 0.0


def test_unused_places_of_the_archive_are_no_behaviours():
    assert float(novelty(empty(100), rows(3.0, 4.0), 5)[0]) == pytest.approx(1.0, rel=1e-6)


def test_the_most_novel_are_remembered_and_the_oldest_forgotten():
    archive = empty(3)
    archive = remember(archive, rows(1.0, 2.0, 3.0), jnp.array([0.1, 0.9, 0.5]), 2)
    assert int(archive.added) == 2
    np.testing.assert_allclose(archive.behaviours[:2], rows(2.0, 3.0))
    archive = remember(archive, rows(4.0, 5.0), jnp.array([0.2, 0.1]), 2)
    np.testing.assert_allclose(archive.behaviours, rows(5.0, 3.0, 4.0))
    assert int(archive.added) == 4


def test_genomes_without_a_behaviour_are_not_remembered():
    archive = remember(empty(3), rows(1.0, 2.0), jnp.array([-jnp.inf, 0.5]), 2)
    assert isinstance(archive, Archive)
    assert int(archive.added) == 1
    np.testing.assert_allclose(archive.behaviours[0], rows(2.0)[0])
