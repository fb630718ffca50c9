"""Experts on a lattice of the 3-torus: where they lie, who is next to whom, and how they are used.  Pure NumPy.

Idea: seed 002, whose neighbours, the six nearest by distance on an anisotropic lattice, were asymmetric in 224 of 768 pairs;
here they are those of the lattice.  A position is ``float[..., 3]`` in [0, 1), and 1 is 0 again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numpy.typing import ArrayLike

from tropism.errors import OptionError

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Lattice:
    """``E`` experts on a grid that is closed along each of three axes; the last axis counts fastest.

    Attributes:
        shape: how many lie along each axis, each at least 1.

    Raises:
        tropism.errors.OptionError: for any other shape.
    """

    shape: tuple[int, int, int] = (8, 4, 4)

    def __post_init__(self) -> None:
        if len(self.shape) != 3 or not all(isinstance(n, int) and n > 0 for n in self.shape):
            raise OptionError(
                f"shape of a lattice: expected three whole numbers of at least 1, as (8, 4, 4), got {self.shape!r}"
            )

    @property
    def count(self) -> int:
        """``E``."""
        nx, ny, nz = self.shape
        return nx * ny * nz

    @property
    def positions(self) -> Floats:
        """Where each lies, ``float64[E, 3]``: ``(i + 1/2) / n`` along an axis."""
        cells = np.stack(np.unravel_index(np.arange(self.count), self.shape), -1)
        return (cells + 0.5) / self.shape

    @property
    def neighbours(self) -> Indices:
        """One step away along an axis, ``int64[E, N]``: ``a`` is among those of ``b`` just if ``b`` is among those of ``a``.

        An axis gives two neighbours, of length 2 one, of length 1 none; so ``N`` is at most 6.
        """
        grid = np.arange(self.count).reshape(self.shape)
        steps = {1: (), 2: (1,)}
        moved = [
            np.roll(grid, step, axis).ravel()
            for axis, n in enumerate(self.shape)
            for step in steps.get(n, (1, -1))
        ]
        return np.array(moved, np.int64).reshape(len(moved), self.count).T

    def hops(self, a: ArrayLike, b: ArrayLike) -> Indices:
        """Steps between neighbours on a shortest way from experts ``a`` to experts ``b``, ``int64`` of their shape."""
        a, b = (np.unravel_index(np.asarray(of), self.shape) for of in (a, b))
        away = np.zeros((), np.int64)
        for i, j, n in zip(a, b, self.shape, strict=True):
            apart = np.abs(i - j)
            away = away + np.minimum(apart, n - apart)
        return away


def wrap(apart: ArrayLike) -> Floats:
    """Differences of coordinates by the shorter way round, ``float64`` in (-1/2, 1/2]."""
    apart = np.asarray(apart, np.float64)
    return apart - np.ceil(apart - 0.5)


def mod_one(x: Floats) -> Floats:
    """``x mod 1`` in [0, 1); twice, since the first of a tiny negative number is rounded to 1."""
    return x % 1.0 % 1.0


def squared_distance(a: ArrayLike, b: ArrayLike) -> Floats:
    """Squared distance on the torus of ``float[..., 3]`` and ``float[..., 3]``, ``float64[...]`` in [0, 3/4].

    One axis after the other, as in torch, which then comes to the same bits.
    """
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    total = np.zeros(())
    for k in range(3):
        apart = a[..., k] - b[..., k]
        apart = apart - np.rint(apart)
        total = total + apart * apart
    return total


def distance(a: ArrayLike, b: ArrayLike) -> Floats:
    """Distance on the torus, ``float64[...]`` in [0, √3/2]; a metric."""
    return np.sqrt(squared_distance(a, b))


def fold(positions: Floats, observed: ArrayLike, chosen: ArrayLike, rate: float) -> None:
    """Draw experts towards what they were chosen for: online k-means (MacQueen 1967) on the torus.

    One observation after the other: ``z_e ← z_e + rate · wrap(z - z_e) mod 1``, which overwrites ``positions``.  The number of
    experts stays.

    Args:
        positions: ``float64[E, 3]`` in [0, 1); overwritten.
        observed: ``float[..., 3]``.
        chosen: the expert of each, ``int[...]``.
        rate: in [0, 1]; 0 moves nothing, 1 all the way.

    Raises:
        tropism.errors.OptionError: for another rate, or other observations.
    """
    if not 0 <= rate <= 1:
        raise OptionError(f"rate of folding: expected a number from 0 to 1, got {rate!r}")
    observed, chosen = np.asarray(observed, np.float64), np.asarray(chosen)
    if observed.shape != (*chosen.shape, 3):
        raise OptionError(
            f"observed positions: expected float{[*chosen.shape, 3]}, three for each expert chosen, got {list(observed.shape)}"
        )
    if not np.isfinite(observed).all():
        raise OptionError("observed positions: expected finite numbers, got NaN or infinity")
    for e, z in zip(chosen.ravel(), observed.reshape(-1, 3), strict=True):
        positions[e] = mod_one(positions[e] + rate * wrap(z - positions[e]))


class Usage(NamedTuple):
    """How a sequence of choices used the experts; shares are of the steps from one choice to the next.

    Attributes:
        gini: of the counts, from 0 (even) to 1 - 1/E (one expert has all).
        used: how many experts were chosen at all.
        reuse: share of steps that keep the expert, in [0, 1].
        one_hop: share of steps to a neighbour.
        two_hop: share of steps to a neighbour's neighbour.
    """

    gini: float
    used: int
    reuse: float
    one_hop: float
    two_hop: float


def usage(lattice: Lattice, chosen: ArrayLike) -> Usage:
    """The measures of choices ``int[..., T]``, time last.

    Raises:
        tropism.errors.OptionError: if they are fewer than two steps.
    """
    chosen = _steps(chosen)
    counts = np.bincount(chosen.ravel(), minlength=lattice.count)
    hops = lattice.hops(chosen[..., 1:], chosen[..., :-1])
    one, two = float(np.mean(hops == 1)), float(np.mean(hops == 2))
    return Usage(gini(counts), int(np.count_nonzero(counts)), reuse(chosen), one, two)


def gini(counts: ArrayLike) -> float:
    """Gini coefficient of counts ``[E]``, not all 0: their mean absolute difference over twice their mean (Gini 1912)."""
    x = np.sort(np.asarray(counts, np.float64))
    if x.ndim != 1 or not x.sum() > 0:
        raise OptionError(
            f"counts: expected one number an expert, not all 0, got an array of shape {x.shape} with the sum {x.sum()}"
        )
    n = len(x)
    return float((2 * np.arange(1, n + 1) - n - 1) @ x / (n * x.sum()))


def reuse(chosen: ArrayLike) -> float:
    """Share of the steps of ``int[..., T]``, time last, that keep the expert, in [0, 1]."""
    chosen = _steps(chosen)
    return float(np.mean(chosen[..., 1:] == chosen[..., :-1]))


def _steps(chosen: ArrayLike) -> Indices:
    """The choices as an array of at least two steps."""
    array = np.asarray(chosen, np.int64)
    if array.ndim == 0 or array.shape[-1] < 2 or not array.size:
        raise OptionError(
            f"choices of experts: expected at least two steps along the last axis, got shape {array.shape}"
        )
    return array
