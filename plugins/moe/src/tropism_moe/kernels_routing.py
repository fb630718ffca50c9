"""Routing at play, compiled: where the routers of some layers lead the stream, and which experts are nearest to that.

Sums are in one order whatever the SIMD of a CPU; distances have the bits of :func:`~tropism_moe.lattice.squared_distance`.  Shapes: ``B``
lanes, ``L`` layers, width ``D``, ``E`` experts a layer.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tropism_moe.compiling import compiled
from tropism_moe.kernel_checks import not_finite
from tropism_moe.kernels_layers import normalise_into
from tropism_moe.lattice import Floats, Indices

PARTS = 4
"""Sums that run side by side: the next addition of one has to wait for its last."""


def projected(weights: Floats, h: npt.NDArray[np.float32]) -> Floats:
    """``W h`` of ``float64[L, 3, D]`` and ``float32[B, D]``, ``float64[B, L, 3]``.

    Raises:
        OptionError: if activations are not finite.
    """
    out = np.empty((len(h), *weights.shape[:-1]))
    bad = _project(weights, h, out)
    if bad >= 0:
        raise not_finite("activations to be routed", h[bad])
    return out


def nearest(z: Floats, positions: Floats) -> Indices:
    """The expert nearest to ``z``, the first of equals, ``int64[B, L]`` of ``float64[B, L, 3]`` and ``float64[L, E, 3]``."""
    out = np.empty(z.shape[:-1], np.int64)
    _nearest(z, positions, out)
    return out


@compiled
def foresee_into(x, gain, epsilon, tables, before, after, chosen):
    """What a block does at its entry for a later step in one call: normalise, project, choose the nearest experts, and note by what.

    Args:
        x: the stream, ``float32[B, D]``.
        gain: of the norm, ``float32[D]``.
        epsilon: of the norm.
        tables: ``W``, ``b`` and positions of the routers, ``float64[L, 3, D]``, ``[L, 3]`` and ``[L, E, 3]``.
        before: ``W h`` of steps before, the oldest first, ``float64[B, steps, L, 3]``.
        after: the same without the oldest, and with this one.
        chosen: the experts, ``int64[B, L]``.

    Returns:
        Whether all was finite; if not, ``after`` and ``chosen`` are of no use.
    """
    weights, bias, positions = tables
    h, asked, z = np.empty_like(x), np.empty_like(before[:, 0]), np.empty_like(before[:, 0])
    normalise_into(x, gain, epsilon, h)
    if _project(weights, h, asked) >= 0:
        return False
    last = after.shape[1] - 1
    for b in range(x.shape[0]):
        after[b, :last], after[b, last] = before[b, 1:], asked[b]
        for layer in range(bias.shape[0]):
            for k in range(3):
                z[b, layer, k] = (asked[b, layer, k] + bias[layer, k]) % 1.0 % 1.0
    _nearest(z, positions, chosen)
    return True


@compiled
def _project(weights, h, out):
    """Fill in ``W h``; the first row that has a sum that is not finite, or -1."""
    whole = h.shape[1] // PARTS * PARTS
    for b in range(h.shape[0]):
        for layer in range(weights.shape[0]):
            for k in range(3):
                row = weights[layer, k]
                a0, a1, a2, a3 = 0.0, 0.0, 0.0, 0.0
                for d in range(0, whole, PARTS):
                    a0 += row[d] * h[b, d]
                    a1 += row[d + 1] * h[b, d + 1]
                    a2 += row[d + 2] * h[b, d + 2]
                    a3 += row[d + 3] * h[b, d + 3]
                for d in range(whole, h.shape[1]):
                    a0 += row[d] * h[b, d]
                total = (a0 + a1) + (a2 + a3)
                if not np.isfinite(total):
                    return b
                out[b, layer, k] = total
    return -1


@compiled
def _nearest(z, positions, out):
    """Fill in the nearest experts."""
    for b in range(z.shape[0]):
        for layer in range(z.shape[1]):
            place, best, least = z[b, layer], 0, np.inf
            for e in range(positions.shape[1]):
                total = 0.0
                for k in range(3):
                    apart = place[k] - positions[layer, e, k]
                    apart -= np.rint(apart)
                    total += apart * apart
                if total < least:
                    best, least = e, total
            out[b, layer] = best
