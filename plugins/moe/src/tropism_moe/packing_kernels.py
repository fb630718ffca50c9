"""Ternary matrices out of the form on disk and into the one in memory, compiled; :mod:`tropism_moe.packing` says what they are.

Bytes of base 3 are taken apart many at once, in vectors that LLVM makes what the CPU has of: the first four digits as two pairs, which
divisions by nine give, and the fifth.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils

from tropism_moe.compiling import FEATURES, compiled, generated

GROUP, CODED = 160, 128
"""Bytes of four weights that are coded together, and the bytes that they become."""
LANES = 32
"""Bytes that are taken apart at once."""
MOST = 242
"""Largest byte that stands for five digits."""
NINTH = 7282
"""``7282 x >> 16`` is a ninth of a byte, rounded down; of two bytes as one number it has that of the upper one above, if the lower one is at
most 242."""
FIFTH = 3
"""Nine times a digit has the digit in the bits from this one on."""
SHUFFLES = "+avx2" in FEATURES
"""Whether bytes can be looked up in a table, 32 at once."""


def _vector(bits: int, lanes: int, number: int | None = None) -> Any:
    """The type, or a constant of so many equal numbers."""
    kind = ir.VectorType(ir.IntType(bits), lanes)
    return kind if number is None else ir.Constant(kind, [number] * lanes)


def _byte(number: int) -> Any:
    return _vector(8, LANES, number)


def _pair(number: int) -> Any:
    return _vector(16, LANES // 2, number)


def _at(context: Any, builder: Any, array: Any, value: Any, index: Any, n: int) -> Any:
    """Where the ``n``-th vector of bytes behind an index of an array begins."""
    place = builder.add(index, ir.Constant(index.type, LANES * n))
    pointer = builder.gep(context.make_array(array)(context, builder, value).data, [place])
    return builder.bitcast(pointer, _vector(8, LANES).as_pointer())


def _ninth(builder: Any, pairs: Any) -> Any:
    """A ninth of numbers of 16 bits."""
    wide = builder.zext(pairs, _vector(32, LANES // 2))
    product = builder.mul(wide, _vector(32, LANES // 2, NINTH))
    return builder.trunc(builder.lshr(product, _vector(32, LANES // 2, 16)), pairs.type)


def _divide(builder: Any, codes: Any) -> tuple[Any, Any]:
    """Ninths of bytes, and what is left over."""
    pairs = builder.bitcast(codes, _pair(0).type)
    upper = builder.and_(_ninth(builder, pairs), _pair(0xFF00))
    ninths = builder.or_(upper, _ninth(builder, builder.and_(pairs, _pair(0xFF))))
    nines = builder.bitcast(builder.mul(ninths, _pair(9)), codes.type)  # of which none carries
    return builder.bitcast(ninths, codes.type), builder.sub(codes, nines)


def _modulo(builder: Any, numbers: Any) -> Any:
    """What is left over of bytes up to 26 when they are divided by nine."""
    for _ in range(2):
        less = builder.sub(numbers, _byte(9))  # a large number, if there is no nine in it
        numbers = builder.select(builder.icmp_unsigned("<", numbers, less), numbers, less)
    return numbers


def _in_base_4(builder: Any, numbers: Any) -> Any:
    """Pairs of digits in base 3, bytes up to 8, in base 4: one more for each whole three."""
    if SHUFFLES:
        signature = ir.FunctionType(numbers.type, [numbers.type] * 2)
        look_up = cgutils.get_or_insert_function(builder.module, signature, "llvm.x86.avx2.pshuf.b")
        table = ir.Constant(numbers.type, [n + n // 3 for n in range(16)] * 2)
        return builder.call(look_up, [table, numbers])
    threes = [builder.icmp_signed(">", numbers, _byte(most)) for most in (2, 5)]
    for three in threes:
        numbers = builder.sub(numbers, builder.sext(three, numbers.type))  # which is -1
    return numbers


def _shift(builder: Any, numbers: Any, by: int) -> Any:
    """Bytes times a power of two, up or down, from which nothing crosses to another byte."""
    pairs = builder.bitcast(numbers, _pair(0).type)
    moved = builder.shl(pairs, _pair(by)) if by > 0 else builder.lshr(pairs, _pair(-by))
    return builder.bitcast(moved, numbers.type)


@generated
def _split(_typing: Any, base3: Any, at: Any, out: Any, to: Any, most: Any) -> Any:  # noqa: ARG001  types by name
    """Take a group apart; ``most``, ``uint8[LANES]``, becomes the largest of what is there and its bytes."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        source, _, target, _, largest = signature.args
        zero = args[1].type(0)
        seen = _at(context, builder, largest, args[4], zero, 0)
        above, last = builder.load(seen, align=1), _byte(0)
        codes = [
            builder.load(_at(context, builder, source, args[0], args[1], n), align=1)
            for n in range(4)
        ]  # all of them first, as they may lie where something is written
        for n, code in enumerate(codes):
            above = builder.select(builder.icmp_unsigned(">", code, above), code, above)
            high, first = _divide(builder, code)
            second = _modulo(builder, high)
            upper = _shift(builder, _in_base_4(builder, second), 4)
            whole = builder.or_(_in_base_4(builder, first), upper)
            builder.store(whole, _at(context, builder, target, args[2], args[3], n), align=1)
            fifth = builder.and_(builder.sub(high, second), _byte(3 << FIFTH))
            last = builder.or_(last, _shift(builder, fifth, 2 * n - FIFTH))
        builder.store(last, _at(context, builder, target, args[2], args[3], 4), align=1)
        builder.store(above, seen, align=1)
        return context.get_dummy_value()

    return types.void(base3, types.intp, out, types.intp, most), emit


@compiled
def _split_few(base3, out):
    """Take apart what is no whole group; returns whether a byte is beyond 242."""
    some, rest, beyond = base3.copy(), out.size - base3.size, False
    out[some.size :] = 0
    for j in range(some.size):
        code = some[j]
        beyond |= code > MOST
        out[j] = code % 3 | code // 3 % 3 << 2 | code // 9 % 3 << 4 | code // 27 % 3 << 6
        if j < 4 * rest:
            out[some.size + j % rest] |= code // 81 << 2 * (j // rest)
    return beyond


@compiled
def decode(base3, out):
    """Fill ``out``, ``uint8[M]`` of four weights each, of ``uint8[ceil(4 M / 5)]``; returns whether a byte is beyond 242.

    What is read may lie in ``out``, as long as it ends where that does, or behind it.
    """
    most, groups = np.zeros(LANES, np.uint8), out.size // GROUP
    for n in range(groups):
        _split(base3, CODED * n, out, GROUP * n, most)
    beyond = _split_few(base3[CODED * groups :], out[GROUP * groups :])
    return beyond or most.max() > MOST


@compiled
def place(column):
    """Byte of a row in memory in which a weight is, and the first of its two bits."""
    return column // 256 * 64 + column % 64, column % 256 // 64 * 2


@compiled
def _weave(digits, row):
    """A row in memory, of a byte for each of its weights."""
    row[:] = 0
    for block in range(row.size // 64):
        out = row[64 * block : 64 * (block + 1)]
        for p in range(4):
            some = digits[256 * block + 64 * p : 256 * block + 64 * (p + 1)]
            for b in range(64):
                out[b] |= some[b] << np.uint8(2 * p)


@compiled
def _separate(dense):
    """A byte for each weight of bytes of four neighbours."""
    out = np.empty((dense.size, 4), np.uint8)
    for n in range(dense.size):
        for p in range(4):
            out[n, p] = (dense[n] >> np.uint8(2 * p)) & np.uint8(3)
    return out.reshape(-1)


@compiled
def transcode_matrix(base3, columns, out):
    """Fill ``out``, ``uint8[N, W]``, of its form on disk; returns whether a byte is beyond 242, after which ``out`` is of no use.

    What is read may lie in ``out``, as long as it ends where that does, or behind it.
    """
    if columns % 256 == 0:
        return decode(base3, out.reshape(-1))
    dense = np.empty((out.shape[0] * columns + 3) // 4, np.uint8)
    beyond = decode(base3, dense)
    flat = _separate(dense)
    digits = np.ones(4 * out.shape[1], np.uint8)
    for n in range(out.shape[0]):
        some = flat[n * columns : (n + 1) * columns]
        for k in range(columns):  # as a loop, of which there is SIMD
            digits[k] = some[k]
        _weave(digits, out[n])
    return beyond


@compiled
def unpack_rows(packed, out):
    """Weights ``int8[N, 4 W]`` of ``uint8[N, W]``, unchecked."""
    for n in range(packed.shape[0]):
        for block in range(packed.shape[1] // 64):
            for b in range(64):
                byte, k = packed[n, 64 * block + b], 256 * block + b
                for p in range(4):
                    out[n, k + 64 * p] = np.int8((byte >> 2 * p) & 3) - 1
