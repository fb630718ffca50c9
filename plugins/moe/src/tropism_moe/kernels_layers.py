"""What layers compute between their matrices, compiled: one step of ``B`` lanes, each by itself, so that it has the bits that it has alone.

Loops run over what lies side by side in memory, and no sum is reordered, so that the bits do not depend on how wide the SIMD of a CPU is.
Callers check; nothing is checked here.  Shapes: width ``D``, rank ``r``, ``G`` heads of keys of width ``h``, window ``P``.
"""

from __future__ import annotations

import numpy as np
from numba import float32

from tropism_moe.compiling import compiled
from tropism_moe.kernels_exponential import exponential, sigmoid


@compiled
def normalise_into(x, gain, epsilon, out):
    """``out = gain · x / sqrt(mean(x²) + epsilon)`` of rows ``float32[B, D]``."""
    for b in range(x.shape[0]):
        total = np.float64(0)
        for value in x[b]:
            total += value * value
        root = float32(np.sqrt(total / x.shape[1] + epsilon))
        for i in range(x.shape[1]):
            out[b, i] = x[b, i] / root * gain[i]


@compiled
def recur_into(before, logit, bias, floor, value, key, query, after, found):
    """A step of gated linear recurrence: weights decay, ``value keyᵀ`` is added, and the query reads.

    Args:
        before: fast weights, ``float32[B, r, D]``.
        logit: of the decay but for its bias, ``float32[B, D]``; overwritten.
        bias: ``float32[D]``.
        floor: least decay.
        value: ``float32[B, D]``.
        key: ``float32[B, r]``.
        query: ``float32[B, r]``.
        after: where fast weights go.
        found: where what is read goes, ``float32[B, D]``.
    """
    for b in range(len(before)):
        decay, read = logit[b], found[b]
        for d in range(decay.size):
            decay[d] = max(sigmoid(decay[d] + bias[d]), floor)
        read[:] = 0
        for k in range(key.shape[1]):
            old, new, written, asked = before[b, k], after[b, k], key[b, k], query[b, k]
            for d in range(decay.size):
                new[d] = old[d] * decay[d] + value[b, d] * written
                read[d] += new[d] * asked


@compiled
def _turn(x, cos, sin, out):
    """Rotary position of ``float32[h]``, channel ``i`` and channel ``i + h / 2`` as a pair."""
    half = x.size // 2
    for i in range(half):
        a, b = x[i], x[i + half]
        out[i], out[i + half] = a * cos[i] - b * sin[i], a * sin[i] + b * cos[i]


@compiled
def _ask(query, keys, values, seen, scores, found):
    """What one head finds in ``float32[h, P]`` and ``float32[P, h]``, of whose places so many are ``seen``: ``float32[h]``."""
    scores[:] = 0
    for i in range(query.size):
        row, asked = keys[i], query[i]
        for p in range(scores.size):
            scores[p] += row[p] * asked
    most, total = scores[:seen].max(), float32(0)
    for p in range(seen):
        scores[p] = exponential(scores[p] - most)
    found[:] = 0
    for p in range(seen):
        weight, row = scores[p], values[p]
        total += weight
        for i in range(row.size):
            found[i] += row[i] * weight
    for i in range(found.size):
        found[i] /= total


@compiled
def attend_into(query, key, value, count, speed, keys, values, found):
    """A step of grouped-query attention, which enters its key and its value into the window.

    Args:
        query: of all heads, ``float32[B, H h]``.
        key: ``float32[B, G h]``.
        value: ``float32[B, G h]``.
        count: steps of each lane before this one, ``int64[B]``.
        speed: radians a step of each pair of channels, ``float64[h / 2]``.
        keys: of the window, place ``t mod P`` that of step ``t``, ``float32[B, G, h, P]``; changed.
        values: the same, ``float32[B, G, P, h]``; changed.
        found: where what heads find goes, ``float32[B, H h]``.
    """
    groups, width, window = keys.shape[1:]
    heads = query.shape[1] // width
    turned, scores = np.empty(width, np.float32), np.empty(window, np.float32)
    scale = float32(1 / np.sqrt(width))
    for b in range(len(query)):
        place, seen = count[b] % window, min(count[b] + 1, window)
        angle = count[b] * speed
        cos, sin = np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)
        for g in range(groups):
            part = slice(g * width, (g + 1) * width)
            _turn(key[b, part], cos, sin, keys[b, g, :, place])
            values[b, g, place] = value[b, part]
        for n in range(heads):
            part, g = slice(n * width, (n + 1) * width), n * groups // heads
            _turn(query[b, part], cos, sin, turned)
            for i in range(width):
                turned[i] *= scale
            _ask(turned, keys[b, g], values[b, g], seen, scores, found[b, part])
