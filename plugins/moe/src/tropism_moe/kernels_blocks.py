"""Whole layers, compiled: to call each of their parts from Python takes longer than they do.

They do row by row what :mod:`tropism_moe.serving_layers` does part by part, with the same bits.  Callers check; nothing is checked here.
"""

from __future__ import annotations

import numpy as np
from numba import float32

from tropism_moe.compiling import bytes_at, compiled
from tropism_moe.kernels_exponential import silu
from tropism_moe.kernels_layers import attend_into, normalise_into, recur_into
from tropism_moe.kernels_simd import linear_into, quantise_into, rows_into

RECURRENCE = ("value", "decay", "key", "query", "out")
"""Maps of a layer that recurs, in the order in which its kernel takes them."""
ATTENTION = ("query", "key", "value", "out")
"""The same of a layer that attends."""


@compiled
def _row(size):
    """Scratch, ``float32[1, size]``; each by itself, as parts of one array need not lie side by side for compilers, who then make no SIMD."""
    return np.empty((1, size), np.float32)


@compiled
def _read_into(level, maps, scales, x, norm, epsilon, some, q, sums, found):
    """Some of the maps of one row ``float32[1, D]``, normalised, each into its part of ``found``; whether the row is finite."""
    normalise_into(x, norm, epsilon, some)
    step = quantise_into(some[0], q)
    if np.isnan(step):
        return False
    for n in range(len(found)):
        y, factor = found[n][0], float32(step * scales[n])
        rows_into(level, maps[n], q, sums[: y.size])
        for i in range(y.size):
            y[i] = float32(sums[i]) * factor
    return True


@compiled
def _add_into(x, found, norm, epsilon, out, h):
    """``out = x + found`` and ``h`` the same, normalised, of one row ``float32[1, D]``."""
    for i in range(x.shape[1]):
        out[0, i] = x[0, i] + found[0, i]
    normalise_into(out, norm, epsilon, h)


@compiled
def recurrence_into(
    level, maps, scales, norms, epsilon, bias, floor, gain, read_epsilon, x, before, after, out, h
):
    """The stream after a layer that recurs.

    Args:
        level: of SIMD.
        maps: packed weights of :data:`RECURRENCE`, ``uint8[N, W]``, a tuple.
        scales: of them, ``float32[5]``.
        norms: gains before the layer and after it, ``float32[2, D]``.
        epsilon: of the same.
        bias: of the decay, ``float32[D]``.
        floor: of the decay.
        gain: of what is read, ``float32[D]``.
        read_epsilon: of the same.
        x: the stream, ``float32[B, D]``.
        before: fast weights, ``float32[B, r, D]``.
        after: where they go.
        out: where the stream goes, ``float32[B, D]``.
        h: where it goes normalised, ``float32[B, D]``.

    Returns:
        The first row that is not finite, or -1.
    """
    width, rank = x.shape[1], before.shape[1]
    q, sums = np.empty(4 * maps[0].shape[1], np.int8), np.empty(max(width, rank), np.int32)
    value, logit, key, query = _row(width), _row(width), _row(rank), _row(rank)
    read, found, some = _row(width), _row(width), _row(width)
    parts = value, logit, key, query
    for b in range(x.shape[0]):
        one = x[b : b + 1]
        if not _read_into(level, maps, scales, one, norms[0], epsilon, some, q, sums, parts):
            return b
        old, new = before[b : b + 1], after[b : b + 1]
        recur_into(old, logit, bias, floor, value, key, query, new, read)
        normalise_into(read, gain, read_epsilon, some)
        if not linear_into(level, maps[4], scales[4], some[0], q, sums[:width], found[0]):
            return b
        _add_into(one, found, norms[1], epsilon, out[b : b + 1], h[b : b + 1])
    return -1


@compiled
def attention_into(level, maps, scales, norms, epsilon, speed, x, count, keys, values, out, h):
    """The stream after a layer that attends.

    Args:
        level: of SIMD.
        maps: packed weights of :data:`ATTENTION`, a tuple.
        scales: of them, ``float32[4]``.
        norms: gains before the layer and after it, ``float32[2, D]``.
        epsilon: of the same.
        speed: as :func:`tropism_moe.kernels_layers.attend_into`, as are the next but one.
        x: the stream, ``float32[B, D]``.
        count: steps of each lane before this one, ``int64[B]``.
        keys: of the window; changed.
        values: of the window; changed.
        out: where the stream goes, ``float32[B, D]``.
        h: where it goes normalised, ``float32[B, D]``.

    Returns:
        The first row that is not finite, or -1.
    """
    width, wide, narrow = x.shape[1], maps[0].shape[0], maps[1].shape[0]
    q, sums = np.empty(4 * maps[0].shape[1], np.int8), np.empty(max(width, wide), np.int32)
    wide_q = np.empty(4 * maps[3].shape[1], np.int8)
    query, seen, key, value = _row(wide), _row(wide), _row(narrow), _row(narrow)
    some, found = _row(width), _row(width)
    parts = query, key, value
    for b in range(x.shape[0]):
        one = slice(b, b + 1)
        if not _read_into(level, maps, scales, x[one], norms[0], epsilon, some, q, sums, parts):
            return b
        attend_into(query, key, value, count[one], speed, keys[one], values[one], seen)
        if not linear_into(level, maps[3], scales[3], seen[0], wide_q, sums[:width], found[0]):
            return b
        _add_into(x[one], found, norms[1], epsilon, out[one], h[one])
    return -1


@compiled
def expert_into(level, gate, up, down, scales, x, q, g, u, hidden, hidden_q, sums, y):
    """``y = W_down (silu(W_gate x) · W_up x)``; returns 0, or 1 or 2 if ``x`` or what is hidden is not finite."""
    step = quantise_into(x, q)
    if np.isnan(step):
        return 1
    rows_into(level, gate, q, g)
    rows_into(level, up, q, u)
    a, b = float32(step * scales[0]), float32(step * scales[1])
    for n in range(hidden.size):
        hidden[n] = silu(float32(g[n]) * a) * (float32(u[n]) * b)
    return 0 if linear_into(level, down, scales[2], hidden, hidden_q, sums, y) else 2


@compiled
def answer_into(level, slab, width, units, scales, x, rows, q, g, u, hidden, hidden_q, sums, said):
    """The same of some ``rows`` of ``float32[B, D]``, weights one matrix after the other; stops at a row that is not finite.

    Returns:
        How it ended, as :func:`expert_into`, and the row.
    """
    wide, high = (width + 255) // 256 * 64, (units + 255) // 256 * 64
    gate = slab[: units * wide].reshape((units, wide))
    up = slab[units * wide : 2 * units * wide].reshape((units, wide))
    down = slab[2 * units * wide :].reshape((width, high))
    for b in rows:
        end = expert_into(level, gate, up, down, scales, x[b], q, g, u, hidden, hidden_q, sums, said[b])  # fmt: skip
        if end:
            return end, b
    return 0, 0


@compiled
def answers_into(level, addresses, size, shape, scales, ends, rows, x, work, said):
    """The same of several experts, one after the other.

    Args:
        level: of SIMD.
        addresses: of their slabs, ``int64[N]``, which the caller keeps.
        size: of each, in bytes.
        shape: width and hidden units.
        scales: ``float32[N, 3]``.
        ends: where the rows of each end, ``int64[N]``.
        rows: of all, one after the other, ``int64[R]``.
        x: ``float32[B, D]``.
        work: memory of a :class:`~tropism_moe.kernels_expert.Workspace`.
        said: where to, ``float32[B, D]``.

    Returns:
        As :func:`answer_into`.
    """
    start, (width, units) = 0, shape
    for n in range(addresses.size):
        slab, some = bytes_at(addresses[n], size), rows[start : ends[n]]
        end, row = answer_into(level, slab, width, units, scales[n], x, some, *work, said)
        if end:
            return end, row
        start = ends[n]
    return 0, 0
