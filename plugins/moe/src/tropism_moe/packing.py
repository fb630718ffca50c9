"""Ternary matrices as bytes: in base 3 on disk, in blocks of 2 bits in memory.

Shapes: ``N`` rows, ``K`` columns, ``W = 64 ceil(K / 256)`` bytes of a row in 2 bits.

In memory bits ``2p`` and ``2p + 1`` of byte ``b`` of a block hold column ``64 p + b`` of its 256, as weight + 1; a 64-byte load gives four
groups of 64 weights by shift and mask.  Columns beyond ``K`` are zeros.

On disk these bytes, ``M`` of them, are ``D = ceil(4 M / 5)``, 128 for each 160.  Byte ``j`` of so many holds the weights of byte ``j`` in
memory as digits weight + 1, the first least significant, and a fifth one: the ``p``-th of byte ``128 + b``, where ``j = 32 p + b``.  Of the
last ``t < 160`` bytes ``ceil(4 t / 5)`` take the place of 128, and ``floor(t / 5)`` that of 32; what then has no fifth weight has a zero.
So the digits of many bytes are taken apart together, and four of five are in place.  In seed 002 a byte holds five neighbours, which would
have to be moved one by one.  If ``K`` is no multiple of 256 rows have much to spare in memory; then ``M = ceil(N K / 4)`` bytes of four
neighbours each, row by row, are coded so, whose weights are moved.
"""

from __future__ import annotations

import numpy as np

from tropism.errors import ArtifactError, OptionError
from tropism_moe.budget import disk_bytes, memory_row
from tropism_moe.packing_kernels import CODED, GROUP, MOST, transcode_matrix, unpack_rows

BLOCK = 256
"""Columns of a block in memory, 64 bytes."""
MOST_COLUMNS = 2**24
"""So many products of a weight and an int8 add up to less than 2³¹."""
_POWERS = 3 ** np.arange(5, dtype=np.uint8)
_DIGITS = np.arange(MOST + 1, dtype=np.uint8)[:, None] // _POWERS % 3


def pack_base3(codes: np.ndarray) -> np.ndarray:
    """The form on disk, ``uint8[D]``, of weights ``int8[N, K]`` in {-1, 0, 1}.

    Raises:
        OptionError: ``codes`` is anything else.
    """
    _, columns = ternary_shape(codes)
    if columns % BLOCK:
        fours = np.ones((-(-codes.size // 4), 4), np.uint8)
        fours.reshape(-1)[: codes.size] = codes.reshape(-1) + 1
    else:
        fours = (codes + 1).astype(np.uint8).reshape(-1, 4, 64).swapaxes(1, 2).reshape(-1, 4)
    whole = len(fours) // GROUP * GROUP
    return np.concatenate([_code(fours[:whole].reshape(-1, GROUP, 4)), _code(fours[None, whole:])])


def unpack_base3(base3: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Weights ``int8[N, K]`` of the form on disk.

    Args:
        base3: ``uint8``, ``D`` of them in any shape.
        shape: ``(N, K)``.

    Raises:
        ArtifactError: a byte is beyond 242, or their number is wrong.
    """
    base3 = _on_disk(base3, shape)
    if (base3 > MOST).any():
        raise _beyond(base3)
    (rows, columns), digits = shape, _DIGITS[base3]
    groups, rest = divmod(-(-rows * columns // 4), GROUP)
    whole = digits[: groups * CODED].reshape(groups, CODED, 5)
    fours = np.concatenate([_fours(whole, GROUP), _fours(digits[None, groups * CODED :], rest)])
    if columns % BLOCK == 0:
        fours = fours.reshape(-1, 64, 4).swapaxes(1, 2)
    return fours.reshape(-1)[: rows * columns].reshape(shape).astype(np.int8) - np.int8(1)


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
    """The form in memory of the form on disk.

    Args:
        base3: ``uint8``, ``D`` of them in any shape.
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
    if transcode_matrix(base3, shape[1], out):
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


def _code(fours: np.ndarray) -> np.ndarray:
    """Bytes in base 3, one group after the other, of digits ``uint8[G, t, 4]``."""
    groups, size, _ = fours.shape
    rest = size // 5
    digits = np.ones((groups, size - rest, 5), np.uint8)
    digits[..., :4] = fours[:, : size - rest]
    digits[:, : 4 * rest, 4] = fours[:, size - rest :].swapaxes(1, 2).reshape(groups, 4 * rest)
    return (digits * _POWERS).sum(2, dtype=np.uint8).reshape(-1)


def _fours(digits: np.ndarray, size: int) -> np.ndarray:
    """Digits of ``size`` bytes of four weights each, one group after the other, of ``uint8[G, size - size // 5, 5]``."""
    groups, rest = len(digits), size // 5
    fifth = digits[:, : 4 * rest, 4].reshape(groups, 4, rest).swapaxes(1, 2)
    return np.concatenate([digits[..., :4], fifth], 1).reshape(-1, 4)


def _shape(shape: tuple[int, ...]) -> None:
    if len(shape) != 2 or min(shape) < 1 or shape[1] > MOST_COLUMNS:
        raise OptionError(
            f"a matrix must have a row or more and 1 to {MOST_COLUMNS} columns, got {tuple(shape)}"
        )


def _on_disk(base3: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Byte by byte, if their number is right."""
    _shape(shape)
    if base3.dtype != np.uint8:
        raise OptionError(f"weights in base 3 must be uint8, got {base3.dtype}")
    expected = disk_bytes(*shape)
    if base3.size != expected:
        raise ArtifactError(
            f"weights {tuple(shape)} in base 3 take {expected} bytes, got {base3.size}; "
            "the file is truncated or has other shapes: pack it again"
        )
    return np.ascontiguousarray(base3).reshape(-1)


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
    byte = int(np.argmax(base3 > MOST))
    return ArtifactError(
        f"byte {byte} of weights in base 3 is {base3[byte]}, expected at most {MOST}; "
        "the file is damaged: restore it or pack it again"
    )
