from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from plugins.moe.tests.ternaries import EVERY, FEW, SEEDS, exact, ternary

from tropism.errors import OptionError
from tropism_moe.kernels import (
    linear,
    matmul,
    matvec,
    quantise_activation,
)
from tropism_moe.packing import pack_2bit

FINITE = hnp.arrays(
    np.float32, st.integers(1, 600), elements=st.floats(width=32, allow_nan=False, allow_infinity=False)
)  # fmt: skip


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
