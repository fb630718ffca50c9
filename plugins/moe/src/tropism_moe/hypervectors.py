"""Hypervectors: binary spatter codes (Kanerva 2009, doi:10.1007/s12559-009-9009-8) in packed words.

A hypervector has ``D`` bits, packed little end first into ``W = ceil(D / 64)`` words ``uint64``; the bits beyond ``D`` are 0.
Binding is XOR, which is its own inverse; permuting is a cyclic shift; a bundle keeps integer counts and becomes bits only when it
is read.  Two hypervectors that were drawn apart differ in ``D / 2`` bits, give or take ``sqrt(D) / 2``.

The seed (``002``) bundled by majorities of two, which forgets geometrically, and drew its hypervectors from a generator that is
linear over bits, so that ``bind(1, 2)`` and ``bind(4, 7)`` were the same: counts mend the one, Philox the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit, types
from numba.extending import intrinsic

from tropism.errors import OptionError

DIMENSION = 10_000
"""Bits of a hypervector unless said otherwise (seed 002)."""

Words = npt.NDArray[np.uint64]
Integers = npt.NDArray[np.int64]


def words(dimension: int) -> int:
    """How many words hold ``dimension`` bits.

    Raises:
        OptionError: below 1.
    """
    if dimension < 1:
        raise OptionError(f"dimension is {dimension}; bits of a hypervector, 1 or more, expected")
    return -(-dimension // 64)


def checked(name: str, vectors: npt.NDArray[Any], dimension: int) -> Words:
    """``vectors`` as ``uint64[n, W]``, contiguous; one alone, ``uint64[W]``, is a batch of one.

    Raises:
        OptionError: of another dtype or shape.
    """
    if vectors.dtype != np.uint64 or vectors.ndim not in (1, 2) or vectors.shape[-1] != words(dimension):  # fmt: skip
        raise OptionError(
            f"{name} is {vectors.dtype}{list(vectors.shape)}; packed hypervectors uint64[n, {words(dimension)}] of "
            f"{dimension} bits expected: make them by pack, draw or an Encoder of that dimension"
        )
    return np.ascontiguousarray(np.atleast_2d(vectors))


def pack(bits: npt.ArrayLike) -> Words:
    """Bits ``[..., D]`` (0 is 0, all else 1) as words ``uint64[..., W]``."""
    raised = np.asarray(bits) != 0
    spare = 64 * words(raised.shape[-1]) - raised.shape[-1]
    padded = np.pad(raised, [(0, 0)] * (raised.ndim - 1) + [(0, spare)])
    return np.packbits(padded, axis=-1, bitorder="little").view(np.uint64)


def unpack(vectors: Words, dimension: int = DIMENSION) -> npt.NDArray[np.uint8]:
    """Words ``uint64[..., W]`` as bits ``uint8[..., D]``."""
    data = np.ascontiguousarray(vectors).view(np.uint8)
    return np.unpackbits(data, axis=-1, count=dimension, bitorder="little")


def draw(count: int, seed: int | Sequence[int], dimension: int = DIMENSION) -> Words:
    """Random hypervectors ``uint64[count, W]``, the same for the same seed (whole numbers from 0, one or several).

    Philox is not linear over bits: a generator that is (xorshift, a Mersenne twister) gives hypervectors of different seeds
    whose bindings coincide.
    """
    rng = np.random.Generator(np.random.Philox(seed))
    drawn = rng.integers(0, 2**64, (count, words(dimension)), np.uint64)
    return drawn & pack(np.ones(dimension))


def bind(a: Words, b: Words) -> Words:
    """XOR, bit by bit: unlike both, and bound to either again, the other."""
    return a ^ b


def permute(vectors: Words, shift: int, dimension: int = DIMENSION) -> Words:
    """Turn the ``D`` bits cyclically by ``shift`` places; ``-shift`` turns them back."""
    return pack(np.roll(unpack(vectors, dimension), shift, axis=-1))


def distances(queries: Words, candidates: Words) -> Integers:
    """Bits in which each of ``uint64[n, W]`` differs from each of ``uint64[m, W]``: ``int64[n, m]``.

    Raises:
        OptionError: they have not the same number of words.
    """
    if queries.shape[1:] != candidates.shape[1:]:
        raise OptionError(
            f"queries {list(queries.shape)} and candidates {list(candidates.shape)} differ in words; "
            "hypervectors of one dimension expected"
        )
    out = np.empty((len(queries), len(candidates)), np.int64)
    _distances(np.ascontiguousarray(queries), np.ascontiguousarray(candidates), out)
    return out


def similarities(
    queries: Words, candidates: Words, dimension: int = DIMENSION
) -> npt.NDArray[np.float64]:
    """``1 - 2 h / D`` at ``h`` differing bits, ``float64[n, m]``: 1 for the same, 0 for the unrelated, -1 for the complement."""
    return 1 - 2 * distances(queries, candidates) / dimension


class Encoder:
    """Real vectors as hypervectors: on which side of ``D`` random hyperplanes they lie.

    A locality-sensitive hash (Charikar 2002, doi:10.1145/509907.509965): two vectors at an angle ``a`` differ in about ``D a /
    pi`` bits.  Lengths are not seen.  A vector has the same bits alone and in any batch.

    Args:
        width: ``d``, of the vectors.
        dimension: ``D``.
        seed: of the hyperplanes.
    """

    def __init__(self, width: int, dimension: int = DIMENSION, seed: int = 0) -> None:
        if width < 1:
            raise OptionError(f"width is {width}; numbers in a vector, 1 or more, expected")
        self.width, self.dimension = width, dimension
        rng = np.random.Generator(np.random.Philox(seed))
        self._normals = rng.standard_normal((width, 64 * words(dimension)), np.float32)

    def encode(self, vectors: npt.ArrayLike) -> Words:
        """Hypervectors ``uint64[n, W]`` of ``float[n, d]``, or of a single ``float[d]``.

        Raises:
            OptionError: of another shape, or with numbers that are not finite.
        """
        x = np.atleast_2d(np.asarray(vectors, np.float64))
        if x.ndim != 2 or x.shape[1] != self.width:
            raise OptionError(f"vectors have shape {x.shape}; (n, {self.width}) expected")
        if not np.isfinite(x).all():
            raise OptionError("vectors hold numbers that are not finite; mend or drop them first")
        _, exponent = np.frexp(np.abs(x).max(1, keepdims=True))
        x = np.ldexp(x, -exponent).astype(np.float32)  # of a length that float32 can sum
        out = np.empty((len(x), self._normals.shape[1] // 64), np.uint64)
        _encode(x, self._normals, self.dimension, out)
        return out


def _popcount(typing: Any, word: Any) -> Any:  # noqa: ARG001  numba's signature
    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ARG001
        return builder.ctpop(arguments[0])

    return types.uint64(types.uint64), emit


popcount: Any = intrinsic(_popcount)
"""How many bits of a ``uint64`` are set, in one instruction where the processor has it; for compiled code only."""


@njit(cache=True, nogil=True)
def _distances(queries: Any, candidates: Any, out: Any) -> None:
    for i in range(queries.shape[0]):
        for j in range(candidates.shape[0]):
            total = np.uint64(0)
            for w in range(queries.shape[1]):
                total += popcount(queries[i, w] ^ candidates[j, w])
            out[i, j] = total


@njit(cache=True, nogil=True)
def _encode(vectors: Any, normals: Any, dimension: int, out: Any) -> None:
    side = np.empty(normals.shape[1], np.float32)
    for i in range(vectors.shape[0]):
        side[:] = 0
        for k in range(vectors.shape[1]):  # one hyperplane is summed in the same order in any batch
            for j in range(side.shape[0]):
                side[j] += vectors[i, k] * normals[k, j]
        for w in range(out.shape[1]):
            word = np.uint64(0)
            for b in range(min(64, dimension - 64 * w)):
                word |= np.uint64(side[64 * w + b] > 0) << np.uint64(b)
            out[i, w] = word
