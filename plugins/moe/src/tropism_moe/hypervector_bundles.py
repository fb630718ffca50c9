"""Bundles of hypervectors: integer counts of bits, which become bits only when they are read."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from tropism.errors import OptionError, TropismError
from tropism_moe.hypervectors import DIMENSION, Integers, Words, checked, draw, words

FULL = np.iinfo(np.int16).max
"""Hypervectors that a bundle can count."""
TIES = 1
"""Of the seed of a tie-breaker, so that it is none of the hypervectors drawn elsewhere from the same seed."""


class BundleFullError(TropismError, OverflowError):
    """A bundle was given more hypervectors than it can count."""


class Bundles:
    """Superpositions: of each bit, how many more hypervectors have it set than not, as ``int16``.

    Reading takes the sign.  Where as many had a bit as had it not, a hypervector drawn once and for all decides: a bit that is
    always 0 there would make all bundles alike, and one that is drawn anew would not read the same twice.

    Args:
        count: of bundles.
        dimension: ``D``.
        seed: of the tie-breaker.

    Attributes:
        counts: ``int16[count, 64 W]``.
        sizes: hypervectors in each, ``int64[count]``.
    """

    def __init__(self, count: int, dimension: int = DIMENSION, seed: int = 0) -> None:
        if count < 1:
            raise OptionError(f"count is {count}; bundles, 1 or more, expected")
        self.dimension = dimension
        self.counts = np.zeros((count, 64 * words(dimension)), np.int16)
        self.sizes = np.zeros(count, np.int64)
        self._ties = draw(1, (seed, TIES), dimension)[0]

    def add(self, which: Integers, vectors: Words) -> None:
        """Add hypervectors ``uint64[n, W]``, each to the bundle of ``int64[n]``.

        Raises:
            BundleFullError: a bundle would hold more than 32,767; nothing was added.
        """
        self._change(which, vectors, 1)

    def remove(self, which: Integers, vectors: Words) -> None:
        """Undo :meth:`add` exactly, in any order.

        Raises:
            OptionError: more are to be removed than are there; nothing was removed.
        """
        self._change(which, vectors, -1)

    def read(self, which: Integers) -> Words:
        """The bits of bundles ``int64[n]``, ``uint64[n, W]``."""
        self._place(which)
        out = np.empty((len(which), len(self._ties)), np.uint64)
        _binarise(self.counts, which, self._ties, self.dimension, out)
        return out

    def _change(self, which: Integers, vectors: Words, sign: int) -> None:
        vectors = checked("vectors", vectors, self.dimension)
        self._place(which)
        if len(which) != len(vectors):
            raise OptionError(f"{len(which)} places for {len(vectors)} vectors; one each expected")
        sizes = self.sizes + sign * np.bincount(which, minlength=len(self.sizes))
        if sizes.max() > FULL:
            raise BundleFullError(
                f"bundle {sizes.argmax()} would hold {sizes.max()} hypervectors, at most {FULL} can be counted; "
                "remove some, or spread them over more bundles"
            )
        if sizes.min() < 0:
            raise OptionError(
                f"bundle {sizes.argmin()} holds {self.sizes[sizes.argmin()]} hypervectors, fewer than are to be removed; "
                "remove only what was added"
            )
        _count(self.counts, which, vectors, sign)
        self.sizes = sizes

    def _place(self, which: Integers) -> None:
        """Compiled code would write anywhere."""
        if which.size and (which.min() < 0 or which.max() >= len(self.sizes)):
            raise OptionError(
                f"which reaches from {which.min()} to {which.max()}; bundles 0 to {len(self.sizes) - 1} expected"
            )


@njit(cache=True, nogil=True)
def _count(counts: Any, which: Any, vectors: Any, sign: int) -> None:
    for i in range(which.shape[0]):
        row = counts[which[i]]
        for w in range(vectors.shape[1]):
            for b in range(64):
                bit = np.int16((vectors[i, w] >> np.uint64(b)) & np.uint64(1))
                row[64 * w + b] += np.int16(sign * (2 * bit - 1))


@njit(cache=True, nogil=True)
def _binarise(counts: Any, which: Any, ties: Any, dimension: int, out: Any) -> None:
    for i in range(which.shape[0]):
        row = counts[which[i]]
        for w in range(ties.shape[0]):
            word = np.uint64(0)
            for b in range(min(64, dimension - 64 * w)):
                count = row[64 * w + b]
                tie = (ties[w] >> np.uint64(b)) & np.uint64(1)
                word |= (np.uint64(count > 0) | (np.uint64(count == 0) & tie)) << np.uint64(b)
            out[i, w] = word
