from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tropism.benchmarks.estimates import across_tasks, estimate, improvement
from tropism.errors import OptionError


def test_estimate_is_the_interquartile_mean_of_all_scores():
    found = estimate(np.array([[0.0, 1.0, 2.0, 9.0], [0.0, 1.0, 2.0, 9.0]]))
    assert found is not None
    assert found.estimate == 1.5
    assert found.low <= found.estimate <= found.high
    assert found.n_runs == 2
    assert "below 10" in found.warning


def test_intervals_see_the_training_runs_and_not_only_the_episodes():
    # Two training runs far apart, episodes alike: pooling 2 x 50 episodes would all but hide the spread.
    apart = np.repeat([[0.0], [1.0]], 50, axis=1)
    found = estimate(apart)
    assert found is not None
    assert (found.low, found.high) == (0.0, 1.0)


def test_a_player_that_does_not_learn_varies_by_episode():
    found = estimate(np.arange(16.0)[None])
    assert found is not None
    assert found.low < found.estimate < found.high
    assert found.n_runs == 16
    assert found.warning == ""


def test_estimates_of_nothing():
    assert estimate(np.array([[np.nan, 1.0]])) is None
    with pytest.raises(OptionError, match="training seeds, samples"):
        estimate(np.zeros((0, 3)))


@given(
    st.lists(st.integers(0, 5), min_size=1, max_size=6),
    st.lists(st.integers(0, 5), min_size=1, max_size=6),
)
def test_probability_of_improvement_counts_pairs(a, b):
    x, y = np.array([a], float), np.array([b], float)
    found = improvement(x, y)
    pairs = [(p > q) + 0.5 * (p == q) for p in a for q in b]
    assert found.estimate == pytest.approx(np.mean(pairs))
    assert found.estimate + improvement(y, x).estimate == pytest.approx(1)
    assert 0 <= found.low <= found.high <= 1


def test_across_tasks_needs_the_same_runs():
    assert across_tasks([np.ones((1, 4)), np.ones((1, 3))]) is None
    found = across_tasks([np.full((1, 4), 0.25), np.full((1, 4), 0.75)])
    assert found is not None
    assert found.estimate == 0.5
