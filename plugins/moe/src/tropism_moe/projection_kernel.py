"""The compiled part of the projection: Dykstra's sweeps, the certificate that ends them, and the retraction.

All but the test of what is inside work on offsets from the centre, ``y = a - c``, where the constraints are ``N y <= s`` with
slacks ``s = b - N c > 0``.  Only that test decides what is let through, so it alone sums in a fixed order.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

SWEEPS = 96
"""Over all constraints; what is not certified by then is left to an exact solver."""
EVERY = 4
"""Sweeps between certificates, each of which costs about one sweep."""
TOLERANCE = 1e-6
"""Square of how far off the projection may be, as a share of its distance and of the radius of the polytope."""


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def _dot(a: Any, b: Any) -> float:
    total = 0.0
    for i in range(a.shape[0]):
        total += a[i] * b[i]
    return total


@njit(cache=True, nogil=True)
def inside(action: Any, normals: Any, bounds: Any) -> bool:
    """Whether ``N a <= b``, as computed term by term."""
    for j in range(normals.shape[0]):
        total = 0.0
        for i in range(action.shape[0]):
            total += normals[j, i] * action[i]
        if not total <= bounds[j]:
            return False
    return True


@njit(cache=True, nogil=True)
def offset(action: Any, centre: Any, limit: float) -> Any:
    """``y = a - c``, drawn in along the ray where a coordinate lies further out than ``limit``."""
    y = action - centre
    longest = np.abs(y).max()
    return y * (limit / longest) if longest > limit else y


@njit(cache=True, nogil=True)
def _sweep(y: Any, multipliers: Any, normals: Any, squares: Any, slacks: Any) -> None:
    """Project onto each half-space in turn, of what was taken off for it before; moves ``y`` and the multipliers."""
    for j in range(normals.shape[0]):
        step = max((_dot(normals[j], y) - slacks[j]) / squares[j], -multipliers[j])
        if step != 0.0:
            multipliers[j] += step
            for i in range(y.shape[0]):
                y[i] -= step * normals[j, i]


@njit(cache=True, nogil=True)
def _shrink(y: Any, normals: Any, slacks: Any) -> float:
    """The largest ``t <= 1`` at which ``t y`` is inside."""
    t = 1.0
    for j in range(normals.shape[0]):
        along = _dot(normals[j], y)
        if along > slacks[j]:
            t = min(t, slacks[j] / along)
    return t


@njit(cache=True, nogil=True)
def _certified(
    start: Any, y: Any, multipliers: Any, normals: Any, slacks: Any, radius: float
) -> bool:
    """Whether ``y``, retracted, is near enough to the projection: its square distance from there is at most primal less dual."""
    t = _shrink(y, normals, slacks)
    primal, dual = 0.0, 0.0
    for i in range(y.shape[0]):
        primal += (start[i] - t * y[i]) ** 2
        dual -= (start[i] - y[i]) ** 2
    for j in range(normals.shape[0]):
        if multipliers[j] > 0.0:
            dual += 2 * multipliers[j] * (_dot(normals[j], start) - slacks[j])
    return primal - dual <= TOLERANCE * min(dual, radius**2)


@njit(cache=True, nogil=True)
def _dykstra(start: Any, normals: Any, squares: Any, slacks: Any, radius: float) -> Any:
    """Whether it is certified, and the projection of ``start``, not yet retracted."""
    y, multipliers = start.copy(), np.zeros(normals.shape[0])
    for sweep in range(1, SWEEPS + 1):
        _sweep(y, multipliers, normals, squares, slacks)
        if sweep % EVERY == 0 and _certified(start, y, multipliers, normals, slacks, radius):
            return True, y
    return False, y


@njit(cache=True, nogil=True)
def retract(y: Any, centre: Any, normals: Any, bounds: Any, slacks: Any) -> Any:
    """``c + t y`` with the largest ``t <= 1`` that is inside as computed: rounding may ask for a little less."""
    t, less = _shrink(y, normals, slacks), 2.0**-52
    while t > 0.0:
        action = centre + t * y
        if inside(action, normals, bounds):
            return action
        t, less = t * (1 - less), min(2 * less, 1.0)
    return centre.copy()


@njit(cache=True, nogil=True)
def project(actions: Any, sides: Any, squares: Any, ball: Any, slacks: Any, limit: float) -> Any:
    """Projections of ``float64[B, n]``, and which of them are certified, ``bool[B]``."""
    (normals, bounds), (centre, radius) = sides, ball
    out, certified = actions.copy(), np.ones(actions.shape[0], np.bool_)
    for i in range(actions.shape[0]):
        if not inside(actions[i], normals, bounds):
            start = offset(actions[i], centre, limit)
            certified[i], y = _dykstra(start, normals, squares, slacks, radius)
            out[i] = retract(y, centre, normals, bounds, slacks)
    return out, certified
