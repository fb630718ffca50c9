"""CRC-32 as zlib computes it, three times as fast: by carry-less products where the CPU has them, and else by zlib itself.

Sixteen bytes of a polynomial's remainder stand for all bytes before them (Gopal et al. 2009, "Fast CRC computation for generic
polynomials using PCLMULQDQ"); what is folded to sixteen bytes, and what is left over, goes byte by byte through a table.
"""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types, uint32
from numba.core import cgutils
from numba.core.registry import cpu_target

from tropism_moe.compiling import compiled, generated

STRIDE = 64
"""Bytes that are folded at a time, four vectors of sixteen."""
LEAST = 1 << 14
"""From so many bytes on it is worth it."""
FOUR, ONE = (0x154442BD4, 0x1C6E41596), (0x1751997D0, 0x0CCAA009E)
"""Remainders of powers of x, reflected, by which a vector moves on over 64 and over 16 bytes."""
_TARGET: Any = cpu_target.target_context
HAS_PRODUCT = "+pclmul" in _TARGET.codegen().magic_tuple()[2].split(",")
TABLE = np.array([zlib.crc32(bytes([n])) ^ zlib.crc32(b"\0") for n in range(256)], np.uint32)
"""Register after a byte, of a register of 0: both have the same beginning and end, which vanish in the sum."""
_I64 = ir.IntType(64)
_VECTOR = ir.VectorType(_I64, 2)


def crc32(data: Any) -> int:
    """That of anything contiguous with a buffer."""
    array = np.frombuffer(data, np.uint8)
    array.flags.writeable = False  # all arrays are of one type then, and compiled for once
    if not HAS_PRODUCT or array.size < LEAST:
        return zlib.crc32(array.data)
    return crc_of(array, TABLE)


def _move(builder: Any, vector: Any, constants: tuple[int, int], other: Any) -> Any:
    """Move a vector on, and add what stands there."""
    by = ir.Constant(_VECTOR, list(constants))
    for halves in (0x00, 0x11):
        signature = ir.FunctionType(_VECTOR, [_VECTOR, _VECTOR, ir.IntType(8)])
        product = cgutils.get_or_insert_function(builder.module, signature, "llvm.x86.pclmulqdq")
        other = builder.xor(other, builder.call(product, [vector, by, ir.Constant(ir.IntType(8), halves)]))  # fmt: skip
    return other


@generated
def _fold(_typing: Any, data: Any, out: Any) -> Any:
    """Sixteen bytes that stand for ``uint8[n]``, ``n`` a multiple of 64 and not 0."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        source, target = (
            context.make_array(kind)(context, builder, arg)
            for kind, arg in zip(signature.args, args, strict=True)
        )
        size = args[0].type.elements[2]  # of an index

        def load(stride: Any, n: int) -> Any:
            place = builder.add(builder.mul(stride, size(STRIDE)), size(16 * n))
            pointer = builder.bitcast(builder.gep(source.data, [place]), _VECTOR.as_pointer())
            return builder.load(pointer, align=1)

        first = [load(size(0), n) for n in range(4)]
        first[0] = builder.xor(first[0], ir.Constant(_VECTOR, [0xFFFFFFFF, 0]))
        state = [cgutils.alloca_once_value(builder, vector) for vector in first]
        strides = builder.udiv(source.nitems, size(STRIDE))
        with cgutils.for_range(builder, strides, start=size(1)) as loop:
            moved = [_move(builder, builder.load(s), FOUR, load(loop.index, n)) for n, s in enumerate(state)]  # fmt: skip
            for place, vector in zip(state, moved, strict=True):
                builder.store(vector, place)
        found = builder.load(state[0])
        for place in state[1:]:
            found = _move(builder, found, ONE, builder.load(place))
        builder.store(found, builder.bitcast(target.data, _VECTOR.as_pointer()), align=1)
        return context.get_dummy_value()

    return types.void(data, out), emit


@compiled
def crc_of(data, table):
    """The same of ``uint8[n]``, whatever its length, for a CPU that has such products."""
    register, folded = uint32(0xFFFFFFFF), data.size // STRIDE * STRIDE
    if folded:
        rest = np.empty(16, np.uint8)
        _fold(data[:folded], rest)
        register = uint32(0)  # the beginning is in what was folded
        for byte in rest:
            register = table[(register ^ byte) & 255] ^ (register >> uint32(8))
    for i in range(folded, data.size):
        register = table[(register ^ data[i]) & 255] ^ (register >> uint32(8))
    return register ^ uint32(0xFFFFFFFF)


if HAS_PRODUCT:
    crc32(bytes(LEAST))  # compiled now: later several threads might ask at once
