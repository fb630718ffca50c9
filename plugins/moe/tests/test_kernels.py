from __future__ import annotations

import os
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tropism.errors import OptionError, UnknownNameError
from tropism_moe import kernels
from tropism_moe.kernels import (
    MANY_ROWS,
    Expert,
    Workspace,
    expert,
    levels,
    linear,
    matmul,
    matvec,
    quantise_activation,
)
from tropism_moe.packing import pack_2bit

FEW = settings(deadline=None, max_examples=60, derandomize=True)
SEEDS = st.integers(0, 2**32 - 1)
EVERY = pytest.mark.parametrize("level", levels())
FINITE = hnp.arrays(
    np.float32, st.integers(1, 600), elements=st.floats(width=32, allow_nan=False, allow_infinity=False)
)  # fmt: skip


def ternary(rows, columns, rng):
    return rng.integers(-1, 2, (rows, columns), np.int8)


def padded(x):
    wide = np.zeros((*x.shape[:-1], -(-x.shape[-1] // 256) * 256), np.int8)
    wide[..., : x.shape[-1]] = x
    return wide


def exact(codes, x):
    return codes.astype(np.int64) @ x.astype(np.int64)


def product(codes, x, level):
    return matvec(pack_2bit(codes), padded(x), np.full(len(codes), -7, np.int32), level)


# -- integers ---------------------------------------------------------------------------------------------------


@EVERY
@FEW
@given(rows=st.integers(1, 6), columns=st.integers(1, 5000), seed=SEEDS)
def test_products_are_exact(level, rows, columns, seed):
    rng = np.random.default_rng(seed)
    codes, x = ternary(rows, columns, rng), rng.integers(-128, 128, columns, np.int8)
    np.testing.assert_array_equal(product(codes, x, level), exact(codes, x))


@EVERY
@pytest.mark.parametrize("columns", [256 * 15, 256 * 16, 256 * 17, 256 * 33, 9999])
def test_products_are_exact_at_their_largest(level, columns):
    for value in (-128, -127, 127):
        x = np.full(columns, value, np.int8)
        codes = np.array([[-1], [0], [1]], np.int8).repeat(columns, 1)
        assert product(codes, x, level).tolist() == [-value * columns, 0, value * columns]
        codes[:, ::2] *= -1
        np.testing.assert_array_equal(product(codes, x, level), exact(codes, x))


@EVERY
def test_every_weight_meets_its_own_activation(level):
    columns = 600
    codes = np.eye(columns, dtype=np.int8)
    x = (np.arange(columns) % 251 - 125).astype(np.int8)
    np.testing.assert_array_equal(product(codes, x, level), x)
    np.testing.assert_array_equal(product(-codes, x, level), -x.astype(np.int32))


@EVERY
def test_a_code_that_no_weight_has_counts_as_2_and_overflows_nothing(level):
    packed, x = np.full((1, 64 * 40), 255, np.uint8), np.full(256 * 40, -128, np.int8)
    assert matvec(packed, x, np.empty(1, np.int32), level).tolist() == [-2 * 128 * 256 * 40]


@pytest.mark.parametrize("batch", [0, 1, MANY_ROWS - 1, MANY_ROWS, MANY_ROWS + 1, 40])
def test_batches_are_exact_one_by_one_and_all_at_once(batch):
    rng = np.random.default_rng(batch)
    for rows, columns in ((3, 5), (513, 300), (1100, 256)):
        codes, x = ternary(rows, columns, rng), rng.integers(-127, 128, (batch, columns), np.int8)
        x[batch // 2 :: 7] = 127
        x[batch // 3 :: 7] = -127
        wide = padded(x)
        wide.flags.writeable = False
        found = matmul(pack_2bit(codes), wide)
        assert found.dtype == np.int32
        np.testing.assert_array_equal(found, exact(codes, x.T).T)


# -- levels -----------------------------------------------------------------------------------------------------


def test_the_fastest_level_is_taken_and_one_that_is_not_there_refused(monkeypatch):
    rng = np.random.default_rng(0)
    codes, x = ternary(4, 300, rng), rng.normal(size=300).astype(np.float32)
    packed = pack_2bit(codes)
    assert levels()[0] == "plain"
    assert list(kernels.LEVELS)[kernels._FASTEST] == levels()[-1]
    monkeypatch.setitem(kernels.LEVELS, "vnni", False)
    with pytest.raises(OptionError, match="'vnni' needs a CPU"):
        linear(packed, 1.0, x, "vnni")
    with pytest.raises(UnknownNameError, match="Unknown level of SIMD 'vnn'"):
        linear(packed, 1.0, x, "vnn")


OLDER = """
import numpy as np
from tropism_moe import kernels
from tropism_moe.packing import pack_2bit
rng = np.random.default_rng(0)
codes, x = rng.integers(-1, 2, (5, 5000), np.int8), rng.integers(-128, 128, 5120, np.int8)
for level in kernels.levels():
    found = kernels.matvec(pack_2bit(codes), x, np.empty(5, np.int32), level)
    assert (found == codes.astype(np.int64) @ x[:5000]).all(), level
print(*kernels.levels())
"""


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"NUMBA_CPU_NAME": "generic"}, ["plain"]),
        ({"NUMBA_CPU_FEATURES": "+sse4.2,+avx,+avx2,-avx512f"}, ["plain", "avx2"]),
    ],
)
def test_an_older_cpu_has_fewer_levels_and_the_same_integers(environment, expected):
    if not set(expected) <= set(levels()):
        pytest.skip("this CPU is older still")
    paths = {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", OLDER],
        env={**os.environ, **paths, **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == expected


# -- activations ------------------------------------------------------------------------------------------------


@FEW
@given(FINITE)
def test_activations_become_int8_by_their_largest_magnitude(x):
    q, scale = quantise_activation(x)
    assert q.dtype == np.int8
    assert type(scale) is np.float32
    assert q.shape == (-(-x.size // 256) * 256,)
    peak = max(np.abs(x).max(), np.float32(1e-20))
    assert scale == peak / np.float32(127)
    np.testing.assert_array_equal(q[: x.size], np.rint(x / scale))
    assert not q[x.size :].any()
    assert np.abs(q.astype(int)).max() <= 127
    assert (np.abs(q[: x.size] * np.float64(scale) - x) <= scale * 0.5001).all()


@pytest.mark.parametrize("size", [1, 300])
def test_the_largest_activation_is_127_and_zeros_stay_zeros(size):
    for peak in (1e-19, 1.0, 3.4e38):
        x = np.zeros(size, np.float32)
        x[size // 2] = -peak
        assert quantise_activation(x)[0][size // 2] == -127
    q, scale = quantise_activation(np.zeros(size, np.float32))
    assert not q.any()
    assert scale > 0


@pytest.mark.parametrize("value", [np.nan, -np.nan, np.inf, -np.inf])
def test_activations_that_are_not_finite_are_refused_and_named(value):
    packed = pack_2bit(np.ones((3, 300), np.int8))
    for at in (0, 17, 299):
        x = np.ones(300, np.float32)
        x[at] = value
        for call in (
            lambda x=x: quantise_activation(x),
            lambda x=x: linear(packed, 1.0, x),
            lambda x=x: linear(packed, 1.0, np.stack([x, x])),
        ):
            with pytest.raises(OptionError, match=rf"x must be finite, got -?(nan|inf) at {at}$"):
                call()


# -- linear maps ------------------------------------------------------------------------------------------------


@EVERY
@FEW
@given(rows=st.integers(1, 40), columns=st.integers(1, 700), seed=SEEDS)
def test_a_linear_map_is_its_integers_times_both_scales(level, rows, columns, seed):
    rng = np.random.default_rng(seed)
    codes, x = ternary(rows, columns, rng), rng.normal(size=columns).astype(np.float32)
    scale = np.float32(rng.uniform(0.01, 2))
    q, step = quantise_activation(x)
    sums = exact(codes, q[:columns]).astype(np.float32)
    found = linear(pack_2bit(codes), float(scale), x, level)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, sums * (step * scale))


@pytest.mark.parametrize("batch", [0, 1, 15, 16, 33])
def test_a_row_of_a_batch_has_the_bits_that_it_has_alone(batch):
    rng = np.random.default_rng(3)
    packed = pack_2bit(ternary(30, 300, rng))
    x = rng.normal(size=(batch, 300)).astype(np.float32)
    found = linear(packed, 0.3, x)
    assert found.dtype == np.float32
    assert found.shape == (batch, 30)
    for row, alone in zip(found, x, strict=True):
        np.testing.assert_array_equal(row, linear(packed, 0.3, alone))


def test_what_does_not_fit_is_refused():
    packed, out = pack_2bit(np.ones((3, 300), np.int8)), np.empty(3, np.int32)
    x, q = np.ones(300, np.float32), np.ones(512, np.int8)
    frozen = out.copy()
    frozen.flags.writeable = False
    for call, what in (
        (lambda: matvec(packed, q[:300], out), r"x must be contiguous int8\[512\], got int8\[300\]"),
        (lambda: matvec(packed, q.view(np.uint8), out), "int8.* got uint8"),
        (lambda: matvec(packed, q, out[:2]), r"out must be contiguous int32\[3\]"),
        (lambda: matvec(packed, q, frozen), "read-only"),
        (lambda: matvec(packed[:, :100], q, out), "multiple of 64"),
        (lambda: matvec(packed[:, ::2], q[:256], out), "contiguous"),
        (lambda: matvec(packed[:0], q, out[:0]), "multiple of 64"),
        (lambda: matvec(packed[0], q, out), "multiple of 64"),
        (lambda: matmul(packed, q), "x must be contiguous int8"),
        (lambda: linear(packed, 1.0, x.astype(np.float64)), "float32"),
        (lambda: linear(packed, 1.0, x[:256]), "257 to 512 columns, as the weights, got 256"),
        (lambda: linear(packed, 1.0, np.ones((2, 513), np.float32)), "got 513"),
        (lambda: linear(packed, 1.0, np.ones((2, 2, 300), np.float32)), "float32"),
        (lambda: quantise_activation(np.ones((2, 3), np.float32)), r"float32\[6\]"),
    ):  # fmt: skip
        with pytest.raises(OptionError, match=what):
            call()


# -- experts ----------------------------------------------------------------------------------------------------


def network(width, hidden, rng):
    shapes = (hidden, width), (hidden, width), (width, hidden)
    codes = [ternary(*shape, rng) for shape in shapes]
    scales = rng.uniform(0.02, 0.06, 3).astype(np.float32)
    gate, up, down = map(pack_2bit, codes)
    return codes, Expert(gate, up, down, scales)


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
        assert found is work.y
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
    x, work = np.ones(300, np.float32), Workspace(300, 700)
    expert(slab, x, work)
    tracemalloc.start()
    try:
        expert(slab, x, work)
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        expert(slab, x, work)
        assert tracemalloc.get_traced_memory()[1] - before < 1200  # x alone would be as much
    finally:
        tracemalloc.stop()


def test_an_expert_says_which_of_its_vectors_is_not_finite():
    _, slab = network(64, 128, np.random.default_rng(5))
    x = np.ones(64, np.float32)
    x[9] = np.nan
    with pytest.raises(OptionError, match="x must be finite, got nan at 9"):
        expert(slab, x, Workspace(64, 128))
    wild = Expert(slab.gate, slab.up, slab.down, np.full(3, 1e25, np.float32))
    with pytest.raises(OptionError, match=r"the hidden layer must be finite, got -?inf at \d+"):
        expert(wild, np.ones(64, np.float32), Workspace(64, 128))


def test_matrices_that_are_no_expert_are_refused():
    _, slab = network(300, 700, np.random.default_rng(5))
    gate, up, down, scales = slab.gate, slab.up, slab.down, slab.scales
    for parts, what in (
        ((gate, up[1:], down, scales), "up"),
        ((gate[:, :64].copy(), up, down, scales), "gate"),
        ((gate, up, down[:, :64].copy(), scales), "down"),
        ((gate, up, down, scales[:2]), "scales"),
        ((gate, up, down, scales.astype(np.float64)), "scales"),
    ):
        with pytest.raises(OptionError, match=f"^{what} must be contiguous"):
            Expert(*parts)
    with pytest.raises(OptionError, match=r"\(300, 700\), its workspace \(300, 701\)"):
        expert(slab, np.ones(300, np.float32), Workspace(300, 701))
    with pytest.raises(OptionError, match=r"x must be contiguous float32\[300\]"):
        expert(slab, np.ones(301, np.float32), Workspace(300, 700))
