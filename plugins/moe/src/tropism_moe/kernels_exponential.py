"""The exponential function in float32, in loops that become SIMD: the one of a C library is called number by number.

It has the same bits on every CPU and with every C library, whose functions differ in the last place.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import int32, types

from tropism_moe.compiling import compiled, generated

LEAST, MOST = np.float32(-87), np.float32(88)
"""Beyond them results would be subnormal or infinite."""
ONE = np.float32(1)
_LOG2_E = np.float32(1.44269504088896341)
_HIGH, _LOW = np.float32(0.693359375), np.float32(-2.12194440e-4)
"""Of the logarithm of 2, the former of few digits, so that its multiples are exact."""
_A, _B, _C, _D, _E, _F = (
    np.float32(a)
    for a in (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1)
)  # fmt: skip


@generated
def as_float(_typing: Any, bits: Any) -> Any:  # noqa: ARG001  types by name
    """The float32 of these bits."""

    def emit(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.FloatType())

    return types.float32(types.int32), emit


@compiled
def exponential(x):
    """``eˣ`` of a float32, to 1.4 units in the last place; below -87 that of -87, above 88 that of 88, of no number no number.

    A power of 2 times a polynomial, whose coefficients are those of Moshier (1992, Cephes library, ``expf.c``).
    """
    y = (
        x if x > LEAST else LEAST
    )  # a number in any case: what no integer stands for has no bits that are defined
    y = y if y < MOST else MOST
    n = np.rint(y * _LOG2_E)
    r = y - n * _HIGH - n * _LOW
    series = ((((_A * r + _B) * r + _C) * r + _D) * r + _E) * r + _F
    power = as_float(int32((int32(n) + int32(127)) << int32(23)))
    found = (series * (r * r) + r + ONE) * power
    return found if x == x else x


@compiled
def sigmoid(x):
    """``1 / (1 + e⁻ˣ)`` of a float32."""
    return ONE / (ONE + exponential(-x))


@compiled
def silu(x):
    """``x / (1 + e⁻ˣ)`` of a float32."""
    return x / (ONE + exponential(-x))
