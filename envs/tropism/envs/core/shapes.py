"""Shapes of marks, as signed distances of pixels from their edge: negative is inside.

Arguments of each: ``x`` to the right and ``y`` down from the centre, ``float[h, w]`` in pixels, and the radius ``r``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Distance = npt.NDArray[Any]


def _dot(x: Distance, y: Distance, r: float) -> Distance:
    return np.hypot(x, y) - r


def _ring(x: Distance, y: Distance, r: float) -> Distance:
    return np.abs(_dot(x, y, r) + 0.75) - 0.75


def _square(x: Distance, y: Distance, r: float) -> Distance:
    return np.maximum(np.abs(x), np.abs(y)) - 0.84 * r


def _diamond(x: Distance, y: Distance, r: float) -> Distance:
    """An outline."""
    return np.abs((np.abs(x) + np.abs(y) - r - 1) / np.sqrt(2)) - 0.7


def _cross(x: Distance, y: Distance, r: float) -> Distance:
    x, y = np.abs(x), np.abs(y)
    return np.maximum(np.abs(x - y) / np.sqrt(2) - 1.0, np.maximum(x, y) - r * 0.8)


def _drop(x: Distance, y: Distance, r: float) -> Distance:
    """A disc, and the two tangents to it from a point at the top."""
    disc = np.hypot(x, y - 0.3 * r) - 0.7 * r
    roof = np.maximum(0.843 * np.abs(x) - 0.538 * (y + r), y)
    return np.minimum(disc, roof)


def _triangle(x: Distance, y: Distance, r: float) -> Distance:
    return np.maximum(y - 0.65 * r, np.abs(x) * 0.87 - (y + r) * 0.5)


def _burst(x: Distance, y: Distance, r: float) -> Distance:
    """Eight spikes."""
    return 0.8 * (np.hypot(x, y) - r * (0.78 + 0.22 * np.cos(8 * np.arctan2(y, x))))


SHAPES: dict[str, Callable[[Distance, Distance, float], Distance]] = {
    "dot": _dot,
    "ring": _ring,
    "square": _square,
    "diamond": _diamond,
    "cross": _cross,
    "drop": _drop,
    "triangle": _triangle,
    "burst": _burst,
}
"""By the name of the shape."""
