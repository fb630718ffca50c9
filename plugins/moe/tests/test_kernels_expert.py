from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from plugins.moe.tests.ternaries import EVERY, ternary

from tropism.errors import OptionError
from tropism_moe.kernels import levels
from tropism_moe.kernels_expert import Expert, Workspace, answer
from tropism_moe.packing import pack_2bit


def network(width, hidden, rng):
    shapes = (hidden, width), (hidden, width), (width, hidden)
    codes = [ternary(*shape, rng) for shape in shapes]
    scales = rng.uniform(0.02, 0.06, 3).astype(np.float32)
    gate, up, down = map(pack_2bit, codes)
    return codes, Expert.of(gate, up, down, scales)


def expert(slab, x, work, level=None):
    """What it says to one vector."""
    said = np.full((3, x.size), 7, np.float32)
    answer(slab, np.stack([0 * x, x, 0 * x]), np.array([1]), said, work, level)
    assert (said[[0, 2]] == 7).all()
    return said[1]


def by_hand(codes, scales, x):
    """In float64, but for the inputs in int8; and the weight of one unit of what is hidden in int8."""

    def times(matrix, scale, x):
        step = np.abs(x).max() / 127
        return matrix.astype(float) @ np.rint(x / step) * step * scale, step * scale

    (gate, _), (up, _) = times(codes[0], scales[0], x), times(codes[1], scales[1], x)
    return times(codes[2], scales[2], gate / (1 + np.exp(-gate)) * up)


@EVERY
@pytest.mark.parametrize(("width", "hidden"), [(1, 1), (64, 128), (300, 700), (256, 257)])
def test_an_expert_is_swiglu_with_int8_between_its_matrices(level, width, hidden):
    rng = np.random.default_rng(width)
    codes, slab = network(width, hidden, rng)
    work = Workspace(width, hidden)
    for _ in range(5):
        x = rng.normal(size=width).astype(np.float32)
        expected, unit = by_hand(codes, slab.scales.astype(float), x.astype(float))
        found = expert(slab, x, work, level)
        # float32 may turn what lies between two integers the other way, here and there
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=2.01 * unit)


def test_an_expert_has_the_same_bits_at_all_levels_and_after_others():
    rng = np.random.default_rng(5)
    (_, one), (_, other) = network(300, 700, rng), network(300, 700, rng)
    x = rng.normal(size=300).astype(np.float32)
    first = expert(one, x, Workspace(300, 700), "plain").copy()
    work = Workspace(300, 700)
    for level in levels():
        assert (expert(other, 3 * x, work, level) != first).any()
        np.testing.assert_array_equal(expert(one, x, work, level), first)


def test_an_expert_asks_for_no_memory():
    _, slab = network(300, 700, np.random.default_rng(5))
    x, said = np.ones((2, 1, 300), np.float32)
    rows, work = np.zeros(1, np.int64), Workspace(300, 700)
    answer(slab, x, rows, said, work)
    tracemalloc.start()
    try:
        answer(slab, x, rows, said, work)
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        answer(slab, x, rows, said, work)
        assert tracemalloc.get_traced_memory()[1] - before < 1200  # x alone would be as much
    finally:
        tracemalloc.stop()


def test_an_expert_says_which_of_its_vectors_is_not_finite():
    _, slab = network(64, 128, np.random.default_rng(5))
    x = np.ones(64, np.float32)
    x[9] = np.nan
    with pytest.raises(OptionError, match="x must be finite, got nan at 9"):
        expert(slab, x, Workspace(64, 128))
    wild = Expert(slab.slab, 64, 128, np.full(3, 1e25, np.float32))
    with pytest.raises(OptionError, match=r"the hidden layer must be finite, got -?inf at \d+"):
        expert(wild, np.ones(64, np.float32), Workspace(64, 128))


def test_matrices_that_are_no_expert_are_refused():
    _, slab = network(300, 700, np.random.default_rng(5))
    (gate, up, down), scales = slab.matrices, slab.scales
    for parts, what in (
        ((gate, up[1:], down, scales), "up"),
        ((gate[:, :64].copy(), up, down, scales), "gate"),
        ((gate, up, down[:, :64].copy(), scales), "down"),
        ((gate, up, down, scales[:2]), "scales"),
        ((gate, up, down, scales.astype(np.float64)), "scales"),
    ):
        with pytest.raises(OptionError, match=f"^{what} must be contiguous"):
            Expert.of(*parts)
    with pytest.raises(OptionError, match=r"^slab must be contiguous uint8\["):
        Expert(slab.slab[1:], 300, 700, scales)
    with pytest.raises(OptionError, match=r"\(300, 700\), its workspace \(300, 701\)"):
        expert(slab, np.ones(300, np.float32), Workspace(300, 701))
    for name, columns, rows in (("x", 301, 1), ("said", 300, 2)):
        x, said = np.ones((1, columns), np.float32), np.ones((rows, 300), np.float32)
        with pytest.raises(OptionError, match=rf"^{name} must be contiguous float32\[1, 300\]"):
            answer(slab, x, np.zeros(1, np.int64), said, Workspace(300, 700))
