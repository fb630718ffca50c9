from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plugins.moe.tests.ternaries import EVERY, FEW, SEEDS, exact, ternary

from tropism.errors import OptionError, UnknownNameError
from tropism_moe import kernels
from tropism_moe.kernels import (
    MANY_ROWS,
    levels,
    linear,
    matmul,
    matvec,
)
from tropism_moe.packing import pack_2bit


def padded(x):
    wide = np.zeros((*x.shape[:-1], -(-x.shape[-1] // 256) * 256), np.int8)
    wide[..., : x.shape[-1]] = x
    return wide


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
@pytest.mark.parametrize("vnni", [False, True])
def test_batches_are_exact_one_by_one_and_all_at_once(batch, vnni, monkeypatch):
    monkeypatch.setitem(
        kernels.LEVELS, "vnni", vnni
    )  # products at once are slow without, and right
    assert kernels.at_once(batch) == (vnni and batch >= MANY_ROWS)
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
    assert list(kernels.LEVELS)[kernels.FASTEST] == levels()[-1]
    monkeypatch.setitem(kernels.LEVELS, "vnni", False)
    with pytest.raises(OptionError, match="'vnni' needs a CPU"):
        linear(packed, 1.0, x, "vnni")
    with pytest.raises(UnknownNameError, match="Unknown level of SIMD 'vnn'"):
        linear(packed, 1.0, x, "vnn")


OLDER = """
import numpy as np
from tropism_moe import kernels
from tropism_moe.packing import pack_2bit, pack_base3, transcode
rng = np.random.default_rng(0)
codes, x = rng.integers(-1, 2, (5, 5000), np.int8), rng.integers(-128, 128, 5120, np.int8)
for level in kernels.levels():
    found = kernels.matvec(pack_2bit(codes), x, np.empty(5, np.int32), level)
    assert (found == codes.astype(np.int64) @ x[:5000]).all(), level
for some in (codes, codes[:, :1024]):
    assert (transcode(pack_base3(some), some.shape) == pack_2bit(some)).all()
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
