"""The compiled kernels: products of packed rows with int8 vectors at three levels of SIMD, and a whole expert made of them.

All levels compute ``sum_k (w_k + 1) x_k - sum_k x_k`` in integers, so that their results are the same bits.  What a CPU lacks is pruned
before code is made, as it could not be; which of the rest runs is an argument.  Callers check; nothing is checked here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import float32, int32, types
from numba.core import cgutils

from tropism_moe.compiling import FEATURES, compiled, generated
from tropism_moe.kernels_exponential import as_float

PLAIN, AVX2, VNNI = range(3)
HAS_AVX2 = "+avx2" in FEATURES
HAS_VNNI = {"+avx512f", "+avx512vnni"} <= FEATURES
ACTIVATION_FLOOR = np.float32(1e-20)
"""Largest magnitude of a vector that is as good as zero; scales must not become subnormal."""
_I8, _I16, _I32 = ir.IntType(8), ir.IntType(16), ir.IntType(32)
_INFINITE = np.int32(0x7F800000)


def _splat(kind: Any, lanes: int, value: int) -> Any:
    return ir.Constant(ir.VectorType(kind, lanes), [value] * lanes)


def _external(builder: Any, name: str, result: Any, *args: Any) -> Any:
    """Call an LLVM intrinsic."""
    signature = ir.FunctionType(result, [a.type for a in args])
    return builder.call(cgutils.get_or_insert_function(builder.module, signature, name), args)


def _emit_dot(
    lanes: int, sums: int, step: Callable[..., list[Any]], context: Any, builder: Any, signature: Any, args: Any
) -> Any:  # fmt: skip
    """Code for one row: a loop over its blocks that carries ``sums`` vectors of ``lanes`` int32.

    ``step(builder, weights, inputs, totals)`` adds a block; the former two load a vector at a byte of it.
    """
    packed, x = (context.make_array(signature.args[i])(context, builder, args[i]) for i in (0, 1))
    vector, size = ir.VectorType(_I32, lanes), args[2].type
    width = builder.extract_value(packed.shape, 1)
    row = builder.gep(packed.data, [builder.mul(args[2], width)])
    totals = [cgutils.alloca_once_value(builder, _splat(_I32, lanes, 0)) for _ in range(sums)]

    def loader(base: Any, stride: int, index: Any) -> Callable[[int], Any]:
        block = builder.gep(base, [builder.mul(index, size(stride))])

        def load(byte: int) -> Any:
            place = builder.gep(block, [size(byte)])
            return builder.load(builder.bitcast(place, vector.as_pointer()), align=1)

        return load

    with cgutils.for_range(builder, builder.udiv(width, size(64))) as loop:
        weights, inputs = loader(row, 64, loop.index), loader(x.data, 256, loop.index)
        found = step(builder, weights, inputs, [builder.load(t) for t in totals])
        for place, value in zip(totals, found, strict=True):
            builder.store(value, place)
    total = builder.load(totals[0])
    for other in totals[1:]:
        total = builder.add(total, builder.load(other))
    return _external(builder, f"llvm.vector.reduce.add.v{lanes}i32", _I32, total)


def _digits(builder: Any, weights: Any, lanes: int, plane: int) -> Any:
    """Every byte's two bits of a plane."""
    shifted = builder.lshr(weights, _splat(_I32, lanes, 2 * plane))
    return builder.and_(shifted, _splat(_I32, lanes, 0x03030303))


def _vnni_step(builder: Any, weights: Any, inputs: Any, totals: list[Any]) -> list[Any]:
    """Four products of 64 bytes each, added up by fours into int32: one instruction a plane."""
    loaded, name = weights(0), "llvm.x86.avx512.vpdpbusd.512"
    planes = [_digits(builder, loaded, 16, p) for p in range(4)]
    return [
        _external(builder, name, total.type, total, plane, inputs(64 * p))
        for p, (plane, total) in enumerate(zip(planes, totals, strict=True))
    ]


def _avx2_step(builder: Any, weights: Any, inputs: Any, totals: list[Any]) -> list[Any]:
    """Eight products of 32 bytes, added up by twos into int16.

    Every other plane stays two bits too high, so that one shift does for four of them, and counts four times until all are added up; nothing
    saturates: 4 · 2 · 12 · 128 < 2¹⁵ even for code 3.
    """
    byte, short = ir.VectorType(_I8, 32), ir.VectorType(_I16, 16)
    found = [_splat(_I16, 16, 0)] * 2
    for half in (0, 32):
        loaded = weights(half)
        higher = builder.lshr(loaded, _splat(_I32, 8, 4))
        for p in range(4):
            mask = _splat(_I32, 8, (0x03030303, 0x0C0C0C0C)[p % 2])
            plane = builder.bitcast(builder.and_((loaded, higher)[p // 2], mask), byte)
            values = builder.bitcast(inputs(64 * p + half), byte)
            product = _external(builder, "llvm.x86.avx2.pmadd.ub.sw", short, plane, values)
            found[p % 2] = builder.add(found[p % 2], product)
    pairs = builder.add(found[0], builder.ashr(found[1], _splat(_I16, 16, 2)))
    ones = _splat(_I16, 16, 1)
    fours = _external(builder, "llvm.x86.avx2.pmadd.wd", totals[0].type, pairs, ones)
    return [builder.add(totals[0], fours)]


@generated
def _vnni_dot(_typing: Any, packed: Any, x: Any, row: Any) -> Any:  # noqa: ARG001  types by name
    """A row of ``uint8[N, W]`` times ``int8[4 W]``, weights counted from 0."""

    def emit(*where: Any) -> Any:
        return _emit_dot(16, 4, _vnni_step, *where)

    return types.int32(packed, x, types.intp), emit


@generated
def _avx2_dot(_typing: Any, packed: Any, x: Any, row: Any) -> Any:  # noqa: ARG001  types by name
    """The same."""

    def emit(*where: Any) -> Any:
        return _emit_dot(8, 1, _avx2_step, *where)

    return types.int32(packed, x, types.intp), emit


@compiled
def _plain_dot(packed, x, lanes):
    """The same for one row ``uint8[W]``, in loops that any compiler makes SIMD of.

    Of 64 lanes in int16 each holds sixteen blocks: 16 · 4 · 3 · 128 < 2¹⁵.
    """
    total, blocks = int32(0), packed.size // 64
    lanes[:] = 0
    for block in range(blocks):  # from 0 on, or indices might be negative and nothing were SIMD
        for b in range(64):
            byte, k = packed[64 * block + b], 256 * block + b
            four = np.int16(np.int16(byte & 3) * np.int16(x[k]))
            four = np.int16(four + np.int16((byte >> 2) & 3) * np.int16(x[k + 64]))
            four = np.int16(four + np.int16((byte >> 4) & 3) * np.int16(x[k + 128]))
            four = np.int16(four + np.int16(byte >> 6) * np.int16(x[k + 192]))
            lanes[b] = np.int16(lanes[b] + four)
        if block % 16 == 15 or block == blocks - 1:
            for b in range(64):
                total = int32(total + int32(lanes[b]))
                lanes[b] = 0
    return total


@compiled
def _sum(x):
    total = int32(0)
    for value in x:
        total = int32(total + int32(value))
    return total


@compiled
def rows_into(level, packed, x, out):
    """``out[n] = sum_k w[n, k] x[k]``: ``uint8[N, W]``, ``int8[4 W]``, ``int32[N]``."""
    zero = _sum(x)
    if HAS_VNNI and level == VNNI:
        for n in range(packed.shape[0]):
            out[n] = int32(_vnni_dot(packed, x, n) - zero)
        return
    if HAS_AVX2 and level == AVX2:
        for n in range(packed.shape[0]):
            out[n] = int32(_avx2_dot(packed, x, n) - zero)
        return
    lanes = np.empty(64, np.int16)
    for n in range(packed.shape[0]):
        out[n] = int32(_plain_dot(packed[n], x, lanes) - zero)


@compiled
def quantise_into(x, q):
    """Fill ``int8[4 W]`` from ``float32[K]``, zeros beyond ``K``; returns the scale, or NaN if a number is not finite."""
    bits, peak = x.view(np.int32), int32(0)
    for i in range(x.size):  # magnitudes compare as integers, and what is not finite is the largest
        peak = max(peak, int32(bits[i] & int32(0x7FFFFFFF)))
    if peak >= _INFINITE:
        return float32(np.nan)
    scale = float32(max(as_float(peak), ACTIVATION_FLOOR) / float32(127))
    for i in range(x.size):
        q[i] = np.int8(np.rint(x[i] / scale))
    q[x.size :] = 0
    return scale


@compiled
def linear_into(level, packed, scale, x, q, sums, y):
    """``y = scale · W x`` with ``x`` in int8; returns whether ``x`` is finite."""
    step = quantise_into(x, q)
    if np.isnan(step):
        return False
    rows_into(level, packed, q, sums)
    factor = float32(step * scale)
    for n in range(y.size):
        y[n] = float32(sums[n]) * factor
    return True


@compiled
def linear_rows_into(level, packed, scale, x, q, sums, y):
    """The same of every row of ``float32[B, K]``; returns the first that is not finite, or -1."""
    for b in range(x.shape[0]):
        if not linear_into(level, packed, scale, x[b], q, sums, y[b]):
            return b
    return -1


@compiled
def quantise_rows_into(x, q, scales):
    """Fill ``int8[B, 4 W]`` and ``float32[B]`` from ``float32[B, K]``; returns the first row that is not finite, or -1."""
    for b in range(x.shape[0]):
        scales[b] = quantise_into(x[b], q[b])
        if np.isnan(scales[b]):
            return b
    return -1
