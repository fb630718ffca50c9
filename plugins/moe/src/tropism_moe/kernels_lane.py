"""A block of one lane in one call: where a step takes a millisecond or two, a fifth of it is Python between kernels.

It has the bits of the layers one by one.  Callers check; nothing is checked here.
"""

from __future__ import annotations

import numpy as np

from tropism_moe.compiling import compiled
from tropism_moe.kernels_blocks import answer_into, attention_into, recurrence_into


@compiled
def _copy(source, target):
    """As one loop, which is a call to copy memory; numba's own goes number by number."""
    some, flat = source.reshape(-1), target.reshape(-1)
    for i in range(some.size):
        flat[i] = some[i]


@compiled
def block_into(
    level, layers, own, attention, speed, feed, slabs, scales, shape, work, x, before, after, window, out
):  # fmt: skip
    """The stream after three layers that recur, each with an expert, and one that attends, with its feed-forward network.

    Args:
        level: of SIMD.
        layers: of each that recurs, maps, scales, norms, epsilon and bias, as :func:`~tropism_moe.kernels_blocks.recurrence_into` takes them.
        own: what it takes after those, the same for all three.
        attention: maps, scales, norms and epsilon of the layer that attends.
        speed: as that takes it.
        feed: slab and scales of the feed-forward network.
        slabs: of the three experts, ``uint8``.
        scales: of them, ``float32[3]`` each.
        shape: width and hidden units of all four.
        work: memory of a :class:`~tropism_moe.kernels_expert.Workspace`.
        x: the stream, ``float32[1, D]``.
        before: fast weights of the three, ``float32[1, r, D]``.
        after: where they go.
        window: keys, values and count before, and where they go.
        out: where the stream goes, ``float32[1, D]``.

    Returns:
        Whether all was finite; if not, ``after``, window and ``out`` are of no use.
    """
    width, units = shape
    (old_keys, old_values, count), (keys, values, counted) = window
    _copy(old_keys, keys)
    _copy(old_values, values)
    counted[0] = count[0] + 1
    row = np.zeros(1, np.int64)
    stream, h, said = np.empty_like(x), np.empty_like(x), np.empty_like(x)
    stream[:] = x
    for n in range(len(layers)):
        old, new = before[n], after[n]
        if recurrence_into(level, *layers[n], *own, stream, old, new, out, h) >= 0:
            return False
        if answer_into(level, slabs[n], width, units, scales[n], h, row, *work, said)[0]:
            return False
        for i in range(width):
            stream[0, i] = out[0, i] + said[0, i]
    if attention_into(level, *attention, speed, stream, count, keys, values, out, h) >= 0:
        return False
    slab, slab_scales = feed
    if answer_into(level, slab, width, units, slab_scales, h, row, *work, said)[0]:
        return False
    for i in range(width):
        out[0, i] += said[0, i]
    return True
