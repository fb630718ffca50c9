"""Ternary matrices out of the form on disk and into the one in memory, compiled; :mod:`tropism_moe.packing` says what they are.

Digits are taken apart for many bytes at once: by products and shifts of 16 bits, in vectors that LLVM makes what the CPU has of.  One
byte after the other, by a table of their digits, takes twice as long.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types

from tropism_moe.compiling import compiled, generated

LANES = 32
"""Bytes that are taken apart at once."""
MOST = 242
"""Largest byte that stands for five digits."""
THIRD, SHIFT = 171, 9
"""``171 x >> 9`` is a third of a byte, rounded down."""


def _vector(bits: int, lanes: int, number: int | None = None) -> Any:
    """The type, or a constant of so many equal numbers."""
    kind = ir.VectorType(ir.IntType(bits), lanes)
    return kind if number is None else ir.Constant(kind, [number] * lanes)


def _at(context: Any, builder: Any, array: Any, value: Any, index: Any) -> Any:
    """Where a vector of bytes begins in an array."""
    place = builder.gep(context.make_array(array)(context, builder, value).data, [index])
    return builder.bitcast(place, _vector(8, LANES).as_pointer())


def _third(builder: Any, value: Any) -> Any:
    """A third of bytes that have 16 bits each, rounded down."""
    product = builder.mul(value, _vector(16, LANES // 2, THIRD))
    return builder.lshr(product, _vector(16, LANES // 2, SHIFT))


@generated
def _split(_typing: Any, base3: Any, at: Any, digits: Any, stride: Any, to: Any) -> Any:  # noqa: ARG001  types by name
    """Put the digits of bytes from ``at`` on to the places ``to``, ``to + stride``, and so on to the fifth."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        source, _, target, *_ = signature.args
        left, place = (
            builder.load(_at(context, builder, source, args[0], args[1]), align=1),
            args[4],
        )
        pairs = builder.bitcast(left, _vector(16, LANES // 2))
        odd = builder.lshr(pairs, _vector(16, LANES // 2, 8))
        even = builder.and_(pairs, _vector(16, LANES // 2, 255))
        for plane in range(5):
            where, digit = _at(context, builder, target, args[2], place), left
            if plane < 4:
                even, odd = _third(builder, even), _third(builder, odd)
                both = builder.or_(even, builder.shl(odd, _vector(16, LANES // 2, 8)))
                third = builder.bitcast(both, _vector(8, LANES))
                digit = builder.sub(left, builder.add(builder.add(third, third), third))
                left, place = third, builder.add(place, args[3])
            builder.store(digit, where, align=1)
        return context.get_dummy_value()

    return types.void(base3, types.intp, digits, types.intp, types.intp), emit


@generated
def _weave(_typing: Any, digits: Any, at: Any, packed: Any, to: Any) -> Any:  # noqa: ARG001
    """Make half a block of 2 bits: digits from ``at`` on, and from the places 64, 128 and 192 behind it."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        source, _, target, _ = signature.args
        whole, pairs = _vector(8, LANES, 0), _vector(16, LANES // 2)
        for plane in range(4):
            place = builder.add(args[1], ir.Constant(args[1].type, 64 * plane))
            some = builder.load(_at(context, builder, source, args[0], place), align=1)
            moved = builder.shl(builder.bitcast(some, pairs), _vector(16, LANES // 2, 2 * plane))
            whole = builder.or_(whole, builder.bitcast(moved, _vector(8, LANES)))
        builder.store(whole, _at(context, builder, target, args[2], args[3]), align=1)
        return context.get_dummy_value()

    return types.void(digits, types.intp, packed, types.intp), emit


@compiled
def _beyond(flat):
    """Whether a byte is beyond 242."""
    found = False
    for byte in flat:
        found |= byte > MOST
    return found


@compiled
def _split_few(row, digits):
    """Take a short row apart."""
    for j in range(row.size):
        left = row[j]
        for plane in range(5):
            digits[plane * row.size + j] = left % 3
            left //= 3


@compiled
def transcode_rows(base3, columns, out):
    """Fill ``out``, ``uint8[N, W]``, row by row, unless a byte of ``uint8[N, R]`` is beyond 242; returns whether one is.  Both are contiguous.

    Of what is read some may lie in ``out``, as far as only rows are written over that were read.
    """
    if _beyond(base3.reshape(-1)):
        return True
    row, wide = base3.shape[1], out.shape[1]
    digits = np.empty(4 * wide + 8, np.uint8)  # a row has up to four to spare
    for n in range(out.shape[0]):
        if row < LANES:
            _split_few(base3[n], digits)
        else:
            for j in range(0, row - LANES, LANES):
                _split(base3, n * row + j, digits, row, j)
            last = row - LANES  # some of them for a second time, as nothing may be behind the row
            _split(base3, n * row + last, digits, row, last)
        digits[columns : 4 * wide] = 1
        for at in range(0, wide, 64):
            for half in (at, at + LANES):
                _weave(digits, 3 * at + half, out, n * wide + half)
    return False


@compiled
def unpack_rows(packed, out):
    """Weights ``int8[N, 4 W]`` of ``uint8[N, W]``, unchecked."""
    for n in range(packed.shape[0]):
        for block in range(packed.shape[1] // 64):
            for b in range(64):
                byte, k = packed[n, 64 * block + b], 256 * block + b
                for p in range(4):
                    out[n, k + 64 * p] = np.int8((byte >> 2 * p) & 3) - 1
