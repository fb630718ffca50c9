from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tropism.errors import OptionError
from tropism_moe.lattice import (
    Lattice,
    distance,
    fold,
    gini,
    mod_one,
    reuse,
    squared_distance,
    usage,
    wrap,
)

shapes = st.tuples(*[st.integers(1, 5)] * 3)
points = st.tuples(*[st.floats(0, 1, exclude_max=True)] * 3)
quickly = settings(deadline=None, max_examples=60, derandomize=True)


def slow_distance(a, b):
    """The shortest way to any of the copies of ``b`` around ``a``."""
    copies = itertools.product((-1, 0, 1), repeat=3)
    return min(math.dist(a, [x + k for x, k in zip(b, copy, strict=True)]) for copy in copies)


def walk(lattice, start):
    """Steps from an expert to each, by breadth-first search over the neighbours."""
    found, edge = {start: 0}, [start]
    while edge:
        nxt = [(b, found[a] + 1) for a in edge for b in lattice.neighbours[a].tolist()]
        edge = []
        for b, steps in nxt:
            if b not in found:
                found[b] = steps
                edge.append(b)
    return [found[b] for b in range(lattice.count)]


def test_the_default_lattice_is_of_128_experts_with_six_neighbours_each():
    lattice = Lattice()
    assert lattice.count == 128
    assert lattice.neighbours.shape == (128, 6)
    assert all(len(set(row)) == 6 for row in lattice.neighbours.tolist())
    assert len(np.unique(lattice.positions, axis=0)) == 128
    assert lattice.positions[[0, 1, 4, 16, 127]].tolist() == [
        [1 / 16, 1 / 8, 1 / 8],
        [1 / 16, 1 / 8, 3 / 8],
        [1 / 16, 3 / 8, 1 / 8],
        [3 / 16, 1 / 8, 1 / 8],
        [15 / 16, 7 / 8, 7 / 8],
    ]


@quickly
@given(shapes)
def test_neighbours_are_symmetric_one_cell_away_and_never_the_expert_itself_or_one_twice(shape):
    lattice = Lattice(shape)
    rows = lattice.neighbours.tolist()
    assert lattice.neighbours.shape == (lattice.count, sum(min(n - 1, 2) for n in shape))
    for a, row in enumerate(rows):
        assert a not in row
        assert len(set(row)) == len(row)
        assert all(a in rows[b] for b in row)
        here = lattice.positions[a]
        cells = np.abs(wrap(lattice.positions[row] - here) * np.array(shape)).sum(-1)
        np.testing.assert_allclose(cells, 1, atol=1e-12)


@quickly
@given(shapes, st.data())
def test_hops_are_the_steps_of_a_search_over_the_neighbours(shape, data):
    lattice = Lattice(shape)
    start = data.draw(st.integers(0, lattice.count - 1))
    assert lattice.hops(start, np.arange(lattice.count)).tolist() == walk(lattice, start)
    assert lattice.hops(np.arange(lattice.count), start).tolist() == walk(lattice, start)


@pytest.mark.parametrize("shape", [(8, 4), (8, 4, 0), (8, 4, -1), (8, 4, 2.0), (8, 4, 4, 1)])
def test_other_shapes_are_refused_by_name(shape):
    with pytest.raises(OptionError, match=r"shape of a lattice.*got \(8, 4"):
        Lattice(shape)


@quickly
@given(points, points, points)
def test_the_distance_is_a_metric_on_the_torus(a, b, c):
    ab, bc, ac = float(distance(a, b)), float(distance(b, c)), float(distance(a, c))
    assert distance(a, a) == 0
    assert ab == distance(b, a)
    assert 0 <= ab <= math.sqrt(3) / 2
    assert ac <= ab + bc + 1e-12
    assert ab == pytest.approx(slow_distance(a, b), abs=1e-12)
    assert distance(np.add(a, c), np.add(b, c)) == pytest.approx(ab, abs=1e-12)
    assert distance(np.add(a, [1, -2, 0]), b) == pytest.approx(ab, abs=1e-12)
    if ab == 0:
        np.testing.assert_allclose(wrap(np.subtract(a, b)), 0, atol=1e-100)


@quickly
@given(st.floats(-3, 3))
def test_wrapping_goes_the_shorter_way_and_half_way_round_is_positive(x):
    assert -0.5 < wrap(x) <= 0.5
    assert (x - wrap(x)) == pytest.approx(round(x - float(wrap(x))), abs=1e-12)
    assert 0 <= mod_one(np.array(x)) < 1


def test_wrapping_at_the_ends():
    assert wrap([0.5, -0.5, 1.5, 0.75, -0.75, 0.25]).tolist() == [0.5, 0.5, 0.5, -0.25, 0.25, 0.25]
    assert mod_one(np.array([-1e-20, 1.0, -0.25])).tolist() == [0, 0, 0.75]


def test_folding_crosses_the_end_of_an_axis_as_in_the_seed():
    positions = np.array([[0.99, 0.5, 0.99]])
    np.testing.assert_allclose(wrap([0.04, 0.5, 0.03] - positions[0]), [0.05, 0, 0.04], atol=1e-12)
    fold(positions, [[0.04, 0.5, 0.03]], [0], 1.0)
    np.testing.assert_allclose(positions, [[0.04, 0.5, 0.03]], atol=1e-12)
    positions = np.array([[0.99, 0.5, 0.99]])
    fold(positions, [[0.04, 0.5, 0.03]], [0], 0.5)
    np.testing.assert_allclose(positions, [[0.015, 0.5, 0.01]], atol=1e-12)


@quickly
@given(st.integers(0, 1000), st.floats(0, 1))
def test_folding_moves_one_coordinate_after_the_other_as_a_slow_loop_does(seed, rate):
    rng = np.random.default_rng(seed)
    positions, observed, chosen = (
        rng.random((7, 3)),
        rng.random((3, 5, 3)),
        rng.integers(5, size=(3, 5)),
    )
    slow = positions.tolist()
    for z, e in zip(observed.reshape(-1, 3).tolist(), chosen.ravel().tolist(), strict=True):
        for k in range(3):
            apart = (z[k] - slow[e][k]) % 1
            slow[e][k] = (slow[e][k] + rate * (apart - 1 if apart > 0.5 else apart)) % 1
    before = positions.copy()
    assert fold(positions, observed, chosen, rate) is None
    np.testing.assert_allclose(distance(positions, slow), 0, atol=1e-9)
    assert positions.shape == (7, 3)
    assert ((positions >= 0) & (positions < 1)).all()
    assert (positions[5:] == before[5:]).all()  # were never chosen


@pytest.mark.parametrize("seed", range(3))
def test_folding_on_clustered_queries_lowers_the_quantisation_error_by_forty_percent_and_more(seed):
    rng, positions = np.random.default_rng(seed), Lattice().positions
    centres = rng.random((16, 3))
    queries = mod_one(centres[rng.integers(16, size=10_000)] + 0.03 * rng.normal(size=(10_000, 3)))

    def error():
        return squared_distance(queries[:, None], positions).min(1).mean()

    before = error()
    for part in queries.reshape(20, -1, 3):
        fold(positions, part, squared_distance(part[:, None], positions).argmin(1), 0.05)
    assert len(np.unique(positions, axis=0)) == 128
    assert error() < 0.6 * before


@pytest.mark.parametrize(
    ("observed", "chosen", "rate", "says"),
    [
        ([[0.1] * 3], [0], 1.5, "rate of folding.*1.5"),
        ([[0.1] * 3], [0], math.nan, "rate of folding"),
        ([[0.1] * 2], [0], 0.5, r"expected float\[1, 3\].*\[1, 2\]"),
        ([[0.1, math.nan, 0.1]], [0], 0.5, "finite"),
    ],
)
def test_folding_refuses_what_would_spoil_the_positions(observed, chosen, rate, says):
    positions = Lattice().positions
    with pytest.raises(OptionError, match=says):
        fold(positions, observed, chosen, rate)
    assert (positions == Lattice().positions).all()


@quickly
@given(st.lists(st.integers(0, 50), min_size=1, max_size=20).filter(any))
def test_the_gini_coefficient_is_half_the_relative_mean_difference(counts):
    pairs = [abs(a - b) for a in counts for b in counts]
    slow = np.mean(pairs) / (2 * np.mean(counts))
    assert gini(counts) == pytest.approx(slow, abs=1e-12)


def test_the_gini_coefficient_is_zero_if_even_and_nearly_one_if_one_has_all():
    assert gini([7] * 128) == pytest.approx(0, abs=1e-12)
    assert gini([0] * 127 + [5]) == pytest.approx(127 / 128)
    with pytest.raises(OptionError, match="not all 0"):
        gini([0, 0])


def test_usage_counts_the_moves_of_every_lane_and_none_between_lanes():
    lattice = Lattice()
    near, far = int(lattice.neighbours[0][0]), int(lattice.neighbours[0][4])
    two = int(np.argmax(lattice.hops(0, np.arange(128)) == 2))
    chosen = [[0, 0, near, 0], [far, 0, two, two]]  # kept, one, one; one, two, kept
    got = usage(lattice, chosen)
    assert (got.reuse, got.one_hop, got.two_hop) == (2 / 6, 3 / 6, 1 / 6)
    assert got.used == 4
    counts = np.bincount(np.ravel(chosen), minlength=128)
    assert got.gini == gini(counts)
    assert reuse(chosen) == got.reuse


@pytest.mark.parametrize("chosen", [[3], [], 3, np.zeros((0, 4), int)])
def test_a_single_choice_has_no_moves(chosen):
    with pytest.raises(OptionError, match="at least two steps"):
        reuse(chosen)
