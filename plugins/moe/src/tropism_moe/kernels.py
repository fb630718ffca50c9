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
from tropism_moe.packing import unpack_rows

LEVELS = {"plain": True, "avx2": simd.HAS_AVX2, "vnni": simd.HAS_VNNI}
"""Of SIMD, from the slowest, and whether this CPU has them; the place of each is its number in the kernels."""
MANY_ROWS = 16
"""From so many rows on a batch is multiplied by ``torch._int_mm``."""
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
    rows = _packed(packed)
    _fits("x", x, np.int8, (4 * packed.shape[1],))
    _fits("out", out, np.int32, (rows,))
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
    rows, number = _packed(packed), _number(level)
    _fits("x", x, np.int8, (len(x), 4 * packed.shape[1]))
    out = np.empty((len(x), rows), np.int32)
    if len(x) < MANY_ROWS:
        for row, found in zip(x, out, strict=True):
            simd.rows_into(number, packed, row, found)
        return out
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
    _fits("x", x, np.float32, (x.size,))
    q = np.empty(4 * memory_row(x.size), np.int8)
    scale = np.float32(simd.quantise_into(x, q))
    _finite(not np.isnan(scale), "x", x)
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
    if x.ndim == 2:
        return _linear_rows(packed, np.float32(scale), x, level)
    rows = _packed(packed)
    _fits("x", x, np.float32, (x.size,))
    _columns(packed, x.size)
    q, sums = np.empty(4 * packed.shape[1], np.int8), np.empty(rows, np.int32)
    y = np.empty(rows, np.float32)
    _finite(simd.linear_into(_number(level), packed, np.float32(scale), x, q, sums, y), "x", x)
    return y


def _linear_rows(
    packed: np.ndarray, scale: np.float32, x: np.ndarray, level: str | None
) -> np.ndarray:
    _packed(packed)
    _columns(packed, x.shape[1])
    if not len(x):
        return np.empty((0, len(packed)), np.float32)
    rows, steps = zip(*map(quantise_activation, x), strict=True)
    sums = matmul(packed, np.stack(rows), level).astype(np.float32)
    return sums * (np.array(steps) * scale)[:, None]


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
        _fits("gate", self.gate, np.uint8, (hidden, memory_row(width)))
        _fits("up", self.up, np.uint8, (hidden, memory_row(width)))
        _fits("down", self.down, np.uint8, (width, memory_row(hidden)))
        _fits("scales", self.scales, np.float32, (3,))

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
    _fits("x", x, np.float32, work.shape[:1])
    matrices = slab.gate, slab.up, slab.down, slab.scales
    found = simd.expert_into(_number(level), *matrices, x, *work.inner, work.y)
    if found:
        _finite(False, *(("x", x) if found == 1 else ("the hidden layer", work.inner[3])))
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


def _packed(packed: np.ndarray) -> int:
    """Rows of what is packed."""
    if packed.ndim != 2 or not packed.size or packed.shape[1] % 64:
        raise OptionError(
            f"packed weights must be uint8[N, W] with W a multiple of 64, got {list(packed.shape)}; "
            "use pack_2bit or transcode"
        )
    _fits("packed weights", packed, np.uint8, packed.shape)
    return len(packed)


def _columns(packed: np.ndarray, columns: int) -> None:
    if not columns or memory_row(columns) != packed.shape[1]:
        most = 4 * packed.shape[1]
        raise OptionError(
            f"x must have {most - 255} to {most} columns, as the weights, got {columns}"
        )


def _fits(name: str, array: np.ndarray, dtype: Any, shape: tuple[int, ...]) -> None:
    if array.dtype != dtype or array.shape != shape or not array.flags.c_contiguous:
        raise OptionError(
            f"{name} must be contiguous {np.dtype(dtype)}{list(shape)}, "
            f"got {array.dtype}{list(array.shape)}"
        )


def _finite(whether: bool, name: str, x: np.ndarray) -> None:
    if not whether:
        at = int(np.argmin(np.isfinite(x)))
        raise OptionError(f"{name} must be finite, got {x[at]} at {at}")
