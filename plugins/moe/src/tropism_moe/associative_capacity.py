"""How much an associative memory holds, measured."""

from __future__ import annotations

import numpy as np

from tropism_moe.associative_memory import AssociativeMemory
from tropism_moe.hypervector_bundles import Bundles
from tropism_moe.hypervectors import DIMENSION, Words, bind, distances, draw, pack


def flip(
    vectors: Words, share: float, rng: np.random.Generator, dimension: int = DIMENSION
) -> Words:
    """Hypervectors ``uint64[n, W]`` with each bit flipped with probability ``share``."""
    flips = [pack(rng.random(dimension, np.float32) < share) for _ in vectors]
    return vectors ^ np.stack(flips)


def bundle_capacity(
    pairs: int,
    candidates: int = 1000,
    noise: float = 0.0,
    trials: int = 1,
    seed: int = 0,
    dimension: int = DIMENSION,
) -> float:
    """Share of the values that a single bundle gives back.

    Args:
        pairs: ``k``, random keys bound to different values of the codebook, all in one bundle.
        candidates: ``N``, in the codebook; each is a candidate in the clean-up.
        noise: share of the bits of a key that are flipped when it is asked for.
        trials: bundles, each with a codebook of its own.
        seed: of everything.
        dimension: ``D``.
    """
    rng, right = np.random.default_rng(seed), 0
    for trial in range(trials):
        drawn = draw(candidates + pairs, seed * trials + trial, dimension)
        codebook, keys = drawn[:candidates], drawn[candidates:]
        values = rng.permutation(candidates)[:pairs]
        bundle = Bundles(1, dimension, seed)
        bundle.add(np.zeros(pairs, np.int64), bind(keys, codebook[values]))
        left = bind(flip(keys, noise, rng, dimension), bundle.read(np.zeros(1, np.int64)))
        right += (distances(left, codebook).argmin(1) == values).sum()
    return float(right / (trials * pairs))


def memory_capacity(
    pairs: int,
    noise: float = 0.1,
    address_bits: int = 7,
    radius: int = 2,
    seed: int = 0,
    dimension: int = DIMENSION,
) -> float:
    """Share of ``pairs`` random pairs over banks, each of a value of its own, that come back by noisy keys."""
    rng = np.random.default_rng(seed)
    keys, values = draw(pairs, 2 * seed, dimension), draw(pairs, 2 * seed + 1, dimension)
    memory = AssociativeMemory(values, address_bits, radius, dimension, seed)
    memory.store(keys, np.arange(pairs))
    found = memory.recall(flip(keys, noise, rng, dimension)).values
    return float((found == np.arange(pairs)).mean())
