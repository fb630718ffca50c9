"""Products with ternary matrices in 2 bits: exact in integers, the same bits at every level of SIMD, one thread.

Shapes: ``N`` rows, ``K`` columns, ``W = 64 ceil(K / 256)`` bytes of a packed row, ``B`` rows of a batch, ``D`` width and ``F`` hidden units of an
expert.  Activations become int8 by their largest magnitude (BitNet b1.58, arXiv:2402.17764), in [-127, 127]; products are exact for
-128, too.  Every function has a ``level``, a name of :func:`levels`; without one it is the fastest.
"""

from __future__ import annotations

import numpy as np
import torch

from tropism.errors import OptionError, UnknownNameError
from tropism_moe import kernels_simd as simd
from tropism_moe.budget import memory_row
from tropism_moe.kernel_checks import (
    FLOAT32,
    INT8,
    INT32,
    fit,
    fit_columns,
    not_finite,
    packed_rows,
)
from tropism_moe.packing_kernels import unpack_rows

LEVELS = {"plain": True, "avx2": simd.HAS_AVX2, "vnni": simd.HAS_VNNI}
"""Of SIMD, from the slowest, and whether this CPU has them; the place of each is its number in the kernels."""
MANY_ROWS = 32
"""From so many rows on a batch is multiplied by ``torch._int_mm``: below, to unpack costs more than it gains."""
_TILE = 512
"""Rows of a matrix that are unpacked at a time, so that the scratch stays in cache."""
FASTEST = max(number for number, here in enumerate(LEVELS.values()) if here)


def levels() -> tuple[str, ...]:
    """Levels that this CPU has, the fastest last."""
    return tuple(level for level, here in LEVELS.items() if here)


def at_once(rows: int) -> bool:
    """Whether so many rows are multiplied together: torch has products of int8 for CPUs with VNNI, and on others takes fifty times as long."""
    return LEVELS["vnni"] and rows >= MANY_ROWS


def matvec(
    packed: np.ndarray, x: np.ndarray, out: np.ndarray, level: str | None = None
) -> np.ndarray:
    """``out = W x`` in integers.

    Args:
        packed: ``uint8[N, W]``, from :func:`~tropism_moe.packing.pack_2bit`.
        x: ``int8[4 W]``, zeros beyond ``K``.
        out: ``int32[N]``.
        level: of SIMD.

    Raises:
        OptionError: shapes or dtypes do not fit, or this CPU has no such level.
        UnknownNameError: there is no such level.
    """
    rows = packed_rows(packed)
    fit("x", x, INT8, (4 * packed.shape[1],))
    fit("out", out, INT32, (rows,))
    if not out.flags.writeable:
        raise OptionError("out is read-only; pass an array of its own memory")
    simd.rows_into(number_of(level), packed, x, out)
    return out


def matmul(packed: np.ndarray, x: np.ndarray, level: str | None = None) -> np.ndarray:
    """``int32[B, N]``: :func:`matvec` of every row of ``int8[B, 4 W]``; many rows share what is unpacked.

    Raises:
        OptionError: as :func:`matvec`.
        UnknownNameError: as :func:`matvec`.
    """
    rows, number = packed_rows(packed), number_of(level)
    fit("x", x, INT8, (len(x), 4 * packed.shape[1]))
    if at_once(len(x)):
        return _all_at_once(packed, x)
    out = np.empty((len(x), rows), np.int32)
    for row, found in zip(x, out, strict=True):
        simd.rows_into(number, packed, row, found)
    return out


def _all_at_once(packed: np.ndarray, x: np.ndarray) -> np.ndarray:
    """``int32[B, N]`` of ``int8[B, 4 W]``, some rows of the matrix unpacked at a time."""
    rows = len(packed)
    out = np.empty((len(x), rows), np.int32)
    inputs = torch.from_numpy(np.require(x, requirements="W"))  # torch warns of what is read-only
    tile = np.empty((min(_TILE, rows), x.shape[1]), np.int8)
    for first in range(0, rows, _TILE):
        part = packed[first : first + _TILE]
        unpack_rows(part, tile)
        weights = torch.from_numpy(tile[: len(part)])
        out[:, first : first + _TILE] = torch.ops.aten._int_mm(inputs, weights.T).numpy()
    return out


def quantise_activation(x: np.ndarray) -> tuple[np.ndarray, np.float32]:
    """``float32[K]`` as ``int8[4 W]`` in [-127, 127], zeros beyond ``K``, and the scale by which it is to be multiplied.

    Raises:
        OptionError: ``x`` is no such vector, or not finite.
    """
    fit("x", x, FLOAT32, (x.size,))
    q = np.empty(4 * memory_row(x.size), np.int8)
    scale = np.float32(simd.quantise_into(x, q))
    if np.isnan(scale):
        raise not_finite("x", x)
    return q, scale


def linear(packed: np.ndarray, scale: float, x: np.ndarray, level: str | None = None) -> np.ndarray:
    """``scale · W x``, ``float32[N]`` or ``float32[B, N]``, with ``x`` in int8; a row of a batch has the bits that it has alone.

    Args:
        packed: ``uint8[N, W]``.
        scale: of the weights.
        x: ``float32[K]`` or ``float32[B, K]``.
        level: of SIMD.

    Raises:
        OptionError: as :func:`matvec`, or ``x`` is not finite.
        UnknownNameError: as :func:`matvec`.
    """
    inputs = x if x.ndim > 1 else x.reshape(1, -1)
    number, shape = number_of(level), (len(inputs), packed_rows(packed))
    fit("x", inputs, FLOAT32, (len(inputs), inputs.shape[-1]))
    fit_columns(packed, inputs.shape[1])
    y, multiply = np.empty(shape, np.float32), _many if at_once(len(inputs)) else _few
    bad = multiply(number, packed, np.float32(scale), inputs, y)
    if bad >= 0:
        raise not_finite("x", inputs[bad])
    return y if x.ndim > 1 else y[0]


def _few(number: int, packed: np.ndarray, scale: np.float32, x: np.ndarray, y: np.ndarray) -> int:
    """Fill ``float32[B, N]``, row by row; the first row that is not finite, or -1."""
    q, sums = np.empty(4 * packed.shape[1], np.int8), np.empty(len(packed), np.int32)
    return simd.linear_rows_into(number, packed, scale, x, q, sums, y)


def _many(number: int, packed: np.ndarray, scale: np.float32, x: np.ndarray, y: np.ndarray) -> int:  # noqa: ARG001
    """The same, all at once."""
    q, steps = np.empty((len(x), 4 * packed.shape[1]), np.int8), np.empty(len(x), np.float32)
    bad = simd.quantise_rows_into(x, q, steps)
    if bad < 0:
        np.multiply(_all_at_once(packed, q).astype(np.float32), (steps * scale)[:, None], out=y)
    return bad


def number_of(level: str | None) -> int:
    """Of a level."""
    if level is None:
        return FASTEST
    if level not in LEVELS:
        raise UnknownNameError("level of SIMD", level, LEVELS)
    if not LEVELS[level]:
        raise OptionError(f"level {level!r} needs a CPU that has it; this one has {levels()}")
    return list(LEVELS).index(level)
