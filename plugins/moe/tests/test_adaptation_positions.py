from __future__ import annotations

import numpy as np
from plugins.moe.tests.adapting import away

from tropism_moe.adaptation_config import AdaptationConfig
from tropism_moe.adaptation_positions import PositionAdapter
from tropism_moe.lattice import Lattice


def test_positions_move_to_where_losses_are_lower_round_the_torus_too():
    target, start = np.array([[0.02, 0.5, 0.98]]), np.array([[0.95, 0.45, 0.05]])
    adapter = PositionAdapter(start, AdaptationConfig(position_rate=2e-4))
    for _ in range(150):
        candidates = adapter.candidates()
        assert candidates.shape == (17, 1, 3)
        assert ((candidates >= 0) & (candidates < 1)).all()
        adapter.select(away(candidates, target))
    assert away(adapter.positions, target) < 0.1 * away(start, target)


def test_every_generation_tries_other_positions_and_every_seed():
    start = Lattice((2, 2, 2)).positions
    adapter, other = (
        PositionAdapter(start, AdaptationConfig(seed=s, position_anchor=0)) for s in (0, 1)
    )
    first = adapter.candidates()
    np.testing.assert_array_equal(adapter.candidates(), first)
    assert (other.candidates()[1:] != first[1:]).all()
    adapter.select(np.zeros(17))  # none is better: nothing moves
    np.testing.assert_allclose(adapter.positions, start, rtol=0, atol=1e-12)
    assert np.abs(adapter.candidates()[1:] - first[1:]).min() > 1e-9
    assert adapter.generation == 1


def test_the_position_anchor_counts_as_a_loss():
    start = Lattice((2, 2, 2)).positions
    free, held = (PositionAdapter(start, AdaptationConfig(position_anchor=a)) for a in (0.0, 1e9))
    target = (start + 0.1) % 1
    for adapter in (free, held):
        for _ in range(60):
            adapter.select(away(adapter.candidates(), target))
    assert away(free.positions, start) > 4 * away(held.positions, start)


def test_positions_that_do_worse_than_the_snapshot_return_bit_for_bit():
    start = Lattice((2, 2, 2)).positions
    adapter = PositionAdapter(start, AdaptationConfig(window=32))
    for generation in (1, 2):
        np.testing.assert_array_equal(adapter.candidates()[0], start)
        adapter.select([1.0, *np.linspace(1.5, 2.5, 16)])
        assert adapter.rollback.count == generation - 1
        assert (adapter.positions.tobytes() == start.tobytes()) is (generation == 2)
    assert adapter.rollback.count == 1


def test_positions_that_do_better_become_the_snapshot():
    adapter = PositionAdapter(Lattice((2, 2, 2)).positions, AdaptationConfig(window=16))
    adapter.select([1.0, *np.linspace(0.5, 0.9, 16)])
    np.testing.assert_array_equal(adapter.candidates()[0], adapter.positions)
