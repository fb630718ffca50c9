"""Differences of ternary matrices, for slabs whose neighbour is in memory; of use only where they are smaller.

A difference is ``(new - old) mod 3`` of every weight, so that it leads both ways (seed 002 stored new values, from which there is no way
back).  Its bytes are a header, the distances between changed weights as variable-length integers (LEB128), and one bit each for
which of the two other values it becomes: about 9 bits a change, where base 3 has 1.6 bits a weight.

Places count row by row as in memory, ``256 ceil(K / 256)`` weights a row, so that they are places in the packed bytes as well.
"""

from __future__ import annotations

import struct
import zlib

import numpy as np

from tropism.errors import ArtifactError, OptionError
from tropism_moe.budget import disk_bytes, memory_row
from tropism_moe.compiling import compiled
from tropism_moe.packing import check_in_memory, ternary_shape
from tropism_moe.packing_kernels import place

_HEADER = struct.Struct("<4I")
"""``N``, ``K``, how many weights change, and the CRC-32 of these three and of all that follows."""
_LONGEST = 5
"""Bytes of a distance."""


def encode(old: np.ndarray, new: np.ndarray) -> bytes:
    """What makes ``new`` of ``old``, and back.

    Args:
        old: ``int8[N, K]`` in {-1, 0, 1}.
        new: the same.

    Raises:
        OptionError: they are anything else, or differ in shape.
    """
    rows, columns = ternary_shape(old)
    if ternary_shape(new) != (rows, columns):
        raise OptionError(f"weights must have one shape, got {old.shape} and {new.shape}")
    change = (new - old).ravel() % 3
    changed = np.flatnonzero(change)
    row, column = np.divmod(changed, columns)
    distances = _variable_length(np.diff(row * 4 * memory_row(columns) + column, prepend=-1) - 1)
    body = distances + np.packbits(change[changed] == 2, bitorder="little").tobytes()
    facts = rows, columns, len(changed)
    return _HEADER.pack(*facts, _checksum(facts, body)) + body


def smaller(old: np.ndarray, new: np.ndarray) -> bool:
    """Whether the difference takes fewer bytes than ``new`` in base 3.

    Raises:
        OptionError: as :func:`encode`.
    """
    return len(encode(old, new)) < disk_bytes(*new.shape)


def apply(packed: np.ndarray, delta: bytes, backward: bool = False) -> None:
    """Make the new weights of the old in place, or the old of the new; nothing is changed unless all of ``delta`` is in order.

    Args:
        packed: ``uint8[N, W]``, from :func:`~tropism_moe.packing.pack_2bit`.
        delta: from :func:`encode`.
        backward: from new to old.

    Raises:
        ArtifactError: ``delta`` is truncated or damaged.
        OptionError: ``packed`` is of another shape, or read-only.
    """
    rows, columns, count, body = _read(delta)
    check_in_memory(packed, (rows, columns))
    if not packed.flags.writeable:
        raise OptionError("packed weights are read-only; pass an array of its own memory")
    places, data = np.empty(count, np.int64), np.frombuffer(body, np.uint8)
    used = _places(data, places, 4 * packed.size)
    if used < 0 or len(body) - used != -(-count // 8):
        raise ArtifactError(f"a difference of {count} weights does not fit its {len(delta)} bytes")
    _turn(packed.reshape(-1), places, data[used:], backward)


def _read(delta: bytes) -> tuple[int, int, int, bytes]:
    """Header and body, if they are what was written."""
    if len(delta) < _HEADER.size:
        raise ArtifactError(
            f"a difference has a header of {_HEADER.size} bytes, got {len(delta)}; it is truncated"
        )
    *facts, expected = _HEADER.unpack_from(delta)
    body = delta[_HEADER.size :]
    found = _checksum(tuple(facts), body)
    if found != expected:
        raise ArtifactError(
            f"a difference has checksum {found:08x}, expected {expected:08x}; "
            "it is truncated or damaged: encode it again"
        )
    return *facts, body  # pyright: ignore[reportReturnType]  three integers


def _checksum(facts: tuple[int, ...], body: bytes) -> int:
    return zlib.crc32(body, zlib.crc32(struct.pack("<3I", *facts)))


def _variable_length(values: np.ndarray) -> bytes:
    """Seven bits a byte, lowest first, the eighth set in all bytes of a value but its last."""
    shifts = 7 * np.arange(1, _LONGEST)
    lengths = 1 + (values[:, None] >= 1 << shifts).sum(1)
    starts = np.cumsum(lengths) - lengths
    out = np.zeros(int(lengths.sum()), np.uint8)
    for k in range(_LONGEST):
        here = lengths > k
        more = (lengths[here] > k + 1).astype(np.uint8) << 7
        out[starts[here] + k] = values[here] >> 7 * k & 127 | more
    return out.tobytes()


@compiled
def _places(data, places, end):
    """Fill in the places; returns how many bytes they took, or -1 if there are none of this kind."""
    at, place = 0, -1
    for i in range(places.size):
        distance, shift = 0, 0
        while True:
            if at == data.size or shift == 7 * _LONGEST:
                return -1
            byte = np.int64(data[at])
            distance |= (byte & 127) << shift
            at, shift = at + 1, shift + 7
            if byte < 128:
                break
        place += distance + 1
        if place >= end:
            return -1
        places[i] = place
    return at


@compiled
def _turn(packed, places, choices, backward):
    """Add the changes mod 3, or take them away."""
    for i in range(places.size):
        change = 1 + (choices[i // 8] >> (i % 8) & 1)
        at, shift = place(places[i])
        code = (packed[at] >> shift & 3) + (3 - change if backward else change)
        packed[at] = packed[at] & ~(3 << shift) | code % 3 << shift
