"""Who is connected to whom: fixed before evolution begins, so that shapes never change.

Three topologies, each with ``edges`` outgoing connections a neuron and none to itself:

``random``
    each neuron's targets are drawn at random, as in the origin of this substrate (koki2, K. Kis, 2025,
    https://github.com/Krisztiaan/koki2); the same seed gives the same graph as there.
``circulant``
    edge ``j`` of neuron ``i`` goes to ``(i + offset_j) mod neurons``, with offsets drawn at random. All neurons
    share the offsets, so the sum over edges is a handful of shifted multiply-adds.
``lattice``
    circulant, with the offsets of the nearest neighbours on a two-dimensional lattice. Its rows join end to
    start (helical boundaries, M. Newman and G. Barkema, "Monte Carlo Methods in Statistical Physics", 1999,
    chapter 13), which is what makes neighbourhoods of a lattice circulant.
"""

from __future__ import annotations

import math
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

TOPOLOGIES = ("random", "circulant", "lattice")


class Neighbours(NamedTuple):
    """The nearest neighbours on the lattice, nearest first.

    Attributes:
        offsets: int[edges], difference of the index, in [1, neurons).
        steps: float32[edges, 2], rows and columns to go.
    """

    offsets: npt.NDArray[np.int64]
    steps: npt.NDArray[np.float32]


@cache
def random_targets(neurons: int, edges: int, seed: int) -> npt.NDArray[np.int64]:
    """``int[neurons, edges]``: for each neuron the targets, distinct and never itself."""
    generator = np.random.default_rng(seed)
    everyone = np.arange(neurons)
    rows = [
        generator.choice(everyone[everyone != i], size=edges, replace=False) for i in range(neurons)
    ]
    return np.stack(rows)


@cache
def circulant_offsets(neurons: int, edges: int, seed: int) -> npt.NDArray[np.int64]:
    """``int[edges]``: distinct offsets in [1, neurons), ascending, on which every neuron can reach every other."""
    generator = np.random.default_rng(seed)
    while True:
        offsets = np.sort(generator.choice(np.arange(1, neurons), size=edges, replace=False))
        if np.gcd.reduce([neurons, *offsets]) == 1:
            return offsets


def lattice_columns(neurons: int) -> int:
    """Columns of the lattice; its last row may be incomplete, the helix goes on regardless."""
    return max(1, round(math.sqrt(neurons)))


@cache
def lattice_neighbours(neurons: int, edges: int) -> Neighbours:
    """The ``edges`` nearest neighbours that every neuron has, itself excepted."""
    columns = lattice_columns(neurons)
    rows = math.ceil(neurons / columns)
    nearest: dict[int, tuple[int, int, int]] = {}
    for down in range(-rows, rows + 1):
        for right in range(-columns, columns + 1):
            offset = (down * columns + right) % neurons
            way = (down * down + right * right, down, right)
            nearest[offset] = min(way, nearest.get(offset, way))
    del nearest[0]
    chosen = sorted(nearest.items(), key=lambda item: item[1])[:edges]
    steps = np.array([way[1:] for _, way in chosen], np.float32)
    return Neighbours(np.array([offset for offset, _ in chosen]), steps)
