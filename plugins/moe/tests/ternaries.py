"""Ternary matrices, and exact products of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st

from tropism_moe.kernels import (
    levels,
)

FEW = settings(deadline=None, max_examples=60, derandomize=True)
SEEDS = st.integers(0, 2**32 - 1)
EVERY = pytest.mark.parametrize("level", levels())


def ternary(rows, columns, rng):
    return rng.integers(-1, 2, (rows, columns), np.int8)


def exact(codes, x):
    return codes.astype(np.int64) @ x.astype(np.int64)
