"""Ternary matrices as bytes: in base 3 on disk, in blocks of 2 bits in memory.

Shapes: ``N`` rows, ``K`` columns, ``R = ceil(K / 5)`` bytes of a row in base 3, ``W = 64 ceil(K / 256)`` in 2 bits.

On disk byte ``j`` of a row holds columns ``j``, ``R + j`` to ``4R + j``, the first least significant, as digits weight + 1.  Rows begin
at bytes; what they have to spare in the end are zeros.  In seed 002 a byte holds neighbours: then the digits of many bytes, which are
taken apart together, would have to be spread, one byte in five.  Rows are not padded further, as to 320 columns: of 256 that would be a
quarter.

In memory bits ``2p`` and ``2p + 1`` of byte ``b`` of a block hold column ``64 p + b`` of its 256, as weight + 1; a 64-byte load gives four
groups of 64 weights by shift and mask.  Columns beyond ``K`` are zeros.
"""

from __future__ import annotations

import numpy as np

from tropism.errors import ArtifactError, OptionError
from tropism_moe.budget import disk_row, memory_row
from tropism_moe.packing_kernels import MOST, transcode_rows, unpack_rows

BLOCK = 256
"""Columns of a block in memory, 64 bytes."""
MOST_COLUMNS = 2**24
"""So many products of a weight and an int8 add up to less than 2³¹."""
_DIGITS = (np.arange(MOST + 1)[:, None] // 3 ** np.arange(5) % 3).astype(np.uint8)


def pack_base3(codes: np.ndarray) -> np.ndarray:
    """The form on disk, ``uint8[N, R]``, of weights ``int8[N, K]`` in {-1, 0, 1}.

    Raises:
        OptionError: ``codes`` is anything else.
    """
    rows, columns = ternary_shape(codes)
    digits = np.ones((rows, 5, disk_row(columns)), np.uint8)
    digits.reshape(rows, -1)[:, :columns] = codes + 1
    a, b, c, d, e = np.moveaxis(digits, 1, 0)
    return a + 3 * (b + 3 * (c + 3 * (d + 3 * e)))


def unpack_base3(base3: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Weights ``int8[N, K]`` of the form on disk.

    Args:
        base3: ``uint8``, ``N R`` of them in any shape.
        shape: ``(N, K)``.

    Raises:
        ArtifactError: a byte is beyond 242, or their number is wrong.
    """
    base3 = _on_disk(base3, shape)
    if (base3 > MOST).any():
        raise _beyond(base3)
    digits = _DIGITS[base3].swapaxes(1, 2).reshape(shape[0], -1)[:, : shape[1]]
    return digits.astype(np.int8) - np.int8(1)


def pack_2bit(codes: np.ndarray) -> np.ndarray:
    """The form in memory, ``uint8[N, W]``, of weights ``int8[N, K]`` in {-1, 0, 1}.

    Raises:
        OptionError: ``codes`` is anything else.
    """
    rows, columns = ternary_shape(codes)
    digits = np.ones((rows, 4 * memory_row(columns)), np.uint8)
    digits[:, :columns] = codes + 1
    a, b, c, d = digits.reshape(rows, -1, 4, 64).transpose(2, 0, 1, 3)
    return (a | b << 2 | c << 4 | d << 6).reshape(rows, -1)


def unpack_2bit(packed: np.ndarray, columns: int) -> np.ndarray:
    """Weights ``int8[N, columns]`` of the form in memory, ``uint8[N, W]``.

    Raises:
        OptionError: ``packed`` has another dtype, or not the width of so many columns.
        ArtifactError: two bits are 3, which is no weight.
    """
    check_in_memory(packed, (len(packed), columns))
    if (packed & packed >> 1 & 0x55).any():
        raise ArtifactError("packed weights hold a code 3, expected 0 to 2; read them anew")
    out = np.empty((len(packed), 4 * packed.shape[1]), np.int8)
    unpack_rows(np.ascontiguousarray(packed), out)
    return out[:, :columns].copy()


def transcode(
    base3: np.ndarray, shape: tuple[int, int], out: np.ndarray | None = None
) -> np.ndarray:
    """The form in memory of the form on disk, with no more than one row in between.

    Args:
        base3: ``uint8``, ``N R`` of them in any shape.
        shape: ``(N, K)``.
        out: where to, ``uint8[N, W]``; a new array if there is none.

    Returns:
        ``out``.

    Raises:
        ArtifactError: a byte is beyond 242, or their number is wrong; what ``out`` then holds is of no use.
        OptionError: ``out`` or the dtype do not fit.
    """
    base3 = _on_disk(base3, shape)
    out = np.empty((shape[0], memory_row(shape[1])), np.uint8) if out is None else out
    check_in_memory(out, shape)
    if not out.flags.writeable:
        raise OptionError("out is read-only; pass an array of its own memory")
    if transcode_rows(base3, shape[1], out):
        raise _beyond(base3)
    return out


def ternary_shape(codes: np.ndarray) -> tuple[int, int]:
    """``(N, K)`` of weights ``int8[N, K]`` in {-1, 0, 1}.

    Raises:
        OptionError: they are anything else.
    """
    if codes.dtype != np.int8 or codes.ndim != 2:
        raise OptionError(
            f"weights must be int8[N, K], got {codes.dtype}{list(codes.shape)}; quantise them first"
        )
    _shape(codes.shape)
    if codes.min() < -1 or codes.max() > 1:
        wrong = codes[(codes < -1) | (codes > 1)][0]
        raise OptionError(f"weights must be -1, 0 or 1, got {wrong}; quantise them first")
    return codes.shape


def _shape(shape: tuple[int, ...]) -> None:
    if len(shape) != 2 or min(shape) < 1 or shape[1] > MOST_COLUMNS:
        raise OptionError(
            f"a matrix must have a row or more and 1 to {MOST_COLUMNS} columns, got {tuple(shape)}"
        )


def _on_disk(base3: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Row by row, if it has the right number of bytes."""
    _shape(shape)
    if base3.dtype != np.uint8:
        raise OptionError(f"weights in base 3 must be uint8, got {base3.dtype}")
    expected = shape[0] * disk_row(shape[1])
    if base3.size != expected:
        raise ArtifactError(
            f"weights {tuple(shape)} in base 3 take {expected} bytes, got {base3.size}; "
            "the file is truncated or has other shapes: pack it again"
        )
    return np.ascontiguousarray(base3).reshape(shape[0], -1)


def check_in_memory(packed: np.ndarray, shape: tuple[int, int]) -> None:
    """Refuse what cannot be the form in memory of a shape ``(N, K)``.

    Raises:
        OptionError: naming dtype and shape found and expected.
    """
    _shape(shape)
    expected = shape[0], memory_row(shape[1])
    if packed.dtype != np.uint8 or packed.shape != expected or not packed.flags.c_contiguous:
        raise OptionError(
            f"weights {tuple(shape)} in 2 bits must be contiguous uint8{list(expected)}, "
            f"got {packed.dtype}{list(packed.shape)}"
        )


def _beyond(base3: np.ndarray) -> ArtifactError:
    row, byte = np.argwhere(base3 > MOST)[0]
    return ArtifactError(
        f"byte {byte} of row {row} of weights in base 3 is {base3[row, byte]}, expected at most {MOST}; "
        "the file is damaged: restore it or pack it again"
    )
