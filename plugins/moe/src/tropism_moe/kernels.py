"""Products with ternary matrices in 2 bits: exact in integers, the same bits at every level of SIMD, one thread.

Shapes: ``N`` rows, ``K`` columns, ``W = 64 ceil(K / 256)`` bytes of a packed row, ``B`` rows of a batch, ``D`` width and ``F`` hidden units of an
expert.  Activations become int8 by their largest magnitude (BitNet b1.58, arXiv:2402.17764), in [-127, 127]; products are exact for
-128, too.  Every function has a ``level``, a name of :func:`levels`; without one it is the fastest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from tropism.errors import OptionError, UnknownNameError
from tropism_moe import kernels_simd as simd
from tropism_moe.budget import memory_row
from tropism_moe.kernel_checks import (
    FLOAT32,
    INT8,
    INT32,
    UINT8,
    fit,
    fit_columns,
    not_finite,
    packed_rows,
)
from tropism_moe.packing import unpack_rows

LEVELS = {"plain": True, "avx2": simd.HAS_AVX2, "vnni": simd.HAS_VNNI}
"""Of SIMD, from the slowest, and whether this CPU has them; the place of each is its number in the kernels."""
MANY_ROWS = 32
"""From so many rows on a batch is multiplied by ``torch._int_mm``: below, to unpack costs more than it gains."""
_TILE = 512
"""Rows of a matrix that are unpacked at a time, so that the scratch stays in cache."""
_FASTEST = max(number for number, here in enumerate(LEVELS.values()) if here)


def levels() -> tuple[str, ...]:
    """Levels that this CPU has, the fastest last."""
    return tuple(level for level, here in LEVELS.items() if here)


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
    simd.rows_into(_number(level), packed, x, out)
    return out


def matmul(packed: np.ndarray, x: np.ndarray, level: str | None = None) -> np.ndarray:
    """``int32[B, N]``: :func:`matvec` of every row of ``int8[B, 4 W]``; many rows share what is unpacked.

    Raises:
        OptionError: as :func:`matvec`.
        UnknownNameError: as :func:`matvec`.
    """
    rows, number = packed_rows(packed), _number(level)
    fit("x", x, INT8, (len(x), 4 * packed.shape[1]))
    if len(x) >= MANY_ROWS:
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
    number, shape = _number(level), (len(inputs), packed_rows(packed))
    fit("x", inputs, FLOAT32, (len(inputs), inputs.shape[-1]))
    fit_columns(packed, inputs.shape[1])
    y, multiply = np.empty(shape, np.float32), _few if len(inputs) < MANY_ROWS else _many
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


@dataclass(frozen=True, slots=True)
class Expert:
    """Weights of a SwiGLU network (Shazeer 2020, arXiv:2002.05202) as the kernels read them.

    Attributes:
        gate: ``uint8[F, W(D)]``.
        up: the same.
        down: ``uint8[D, W(F)]``.
        scales: of the three, ``float32[3]``.
    """

    gate: np.ndarray
    up: np.ndarray
    down: np.ndarray
    scales: np.ndarray

    def __post_init__(self) -> None:
        """Refuse matrices that do not fit together.

        Raises:
            OptionError: naming the matrix, its shape and what was expected.
        """
        width, hidden = self.shape
        fit("gate", self.gate, UINT8, (hidden, memory_row(width)))
        fit("up", self.up, UINT8, (hidden, memory_row(width)))
        fit("down", self.down, UINT8, (width, memory_row(hidden)))
        fit("scales", self.scales, FLOAT32, (3,))

    @property
    def shape(self) -> tuple[int, int]:
        """``(D, F)``."""
        return len(self.down), len(self.gate)

    @property
    def nbytes(self) -> int:
        """Bytes of its arrays."""
        return self.gate.nbytes + self.up.nbytes + self.down.nbytes + self.scales.nbytes


class Workspace:
    """Memory for one expert at a time, so that none is asked for while it acts.

    Args:
        width: ``D``.
        hidden: ``F``.
    """

    def __init__(self, width: int, hidden: int) -> None:
        self.shape = width, hidden
        self.y = np.empty(width, np.float32)
        self.inner: tuple[Any, ...] = (
            np.empty(4 * memory_row(width), np.int8),
            np.empty(hidden, np.int32),
            np.empty(hidden, np.int32),
            np.empty(hidden, np.float32),
            np.empty(4 * memory_row(hidden), np.int8),
            np.empty(width, np.int32),
        )


def expert(slab: Expert, x: np.ndarray, work: Workspace, level: str | None = None) -> np.ndarray:
    """``W_down (silu(W_gate x) · W_up x)``, inputs of all three in int8.

    Args:
        slab: the weights.
        x: ``float32[D]``.
        work: its ``y`` is what is returned, until the next call.
        level: of SIMD.

    Returns:
        ``float32[D]``.

    Raises:
        OptionError: shapes or dtypes do not fit, this CPU has no such level, or ``x`` or what is hidden is not finite.
        UnknownNameError: there is no such level.
    """
    if slab.shape != work.shape:
        raise OptionError(f"the expert has shape {slab.shape}, its workspace {work.shape}")
    fit("x", x, FLOAT32, work.shape[:1])
    matrices = slab.gate, slab.up, slab.down, slab.scales
    found = simd.expert_into(_number(level), *matrices, x, *work.inner, work.y)
    if found:
        raise not_finite(*(("x", x) if found == 1 else ("the hidden layer", work.inner[3])))
    return work.y


def _number(level: str | None) -> int:
    """Of a level."""
    if level is None:
        return _FASTEST
    if level not in LEVELS:
        raise UnknownNameError("level of SIMD", level, LEVELS)
    if not LEVELS[level]:
        raise OptionError(f"level {level!r} needs a CPU that has it; this one has {levels()}")
    return list(LEVELS).index(level)
