"""Counter-based random numbers: the same bits from Python ints, NumPy and JAX.

Every draw is a pure function ``(key, episode, counter, stream) -> 32 bits``, so an environment needs
no generator state, a vector of environments draws for all lanes at once, and a jitted rollout follows
the single environment bit for bit.  The mixer is ``lowbias32`` (C. Wellons, "Prospecting for Hash
Functions", 2018, https://nullprogram.com/blog/2018/07/31/), applied twice per draw under a
two-word key.

The scalar functions work on Python ints (fastest for one environment); :class:`Hash` is the same
arithmetic over an array namespace ``xp`` (``numpy`` or ``jax.numpy``).
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

MASK = 0xFFFFFFFF
GOLDEN = 0x9E3779B9
"""2**32 / golden ratio: spreads consecutive counters over the word (Knuth, TAOCP vol. 3, 6.4)."""
STREAM_STEP = 0x85EBCA6B
"""Odd constant that keeps streams apart (a multiplier of MurmurHash3's finaliser)."""

Key = tuple[int, int]

# Words of the array form, made once: in NumPy making one takes as long as using it.
_FIRST, _SECOND = np.uint32(0x7FEB352D), np.uint32(0x846CA68B)
_FIFTEEN, _SIXTEEN, _GOLDEN = np.uint32(15), np.uint32(16), np.uint32(GOLDEN)


def mix(x: int) -> int:
    """``lowbias32``: a bijection of 32-bit words with near-ideal avalanche."""
    x ^= x >> 16
    x = (x * 0x7FEB352D) & MASK
    x ^= x >> 15
    x = (x * 0x846CA68B) & MASK
    return x ^ (x >> 16)


def seed_key(seed: int) -> Key:
    """Derive the key, two 32-bit words, that a reset with ``seed`` uses.

    Args:
        seed: a non-negative integer of any size, as ``env.reset(seed=...)`` takes.

    Raises:
        ValueError: if ``seed`` is negative.
    """
    seed = int(seed)
    if seed < 0:
        raise ValueError(f"seed must be a non-negative integer, got {seed}")
    k0, k1 = mix(0x243F6A88), mix(0x85A308D3)  # fractional bits of pi: nothing up the sleeve
    while True:
        word = seed & MASK
        k0 = mix(k0 ^ word)
        k1 = mix((k1 + GOLDEN + word) & MASK)
        seed >>= 32
        if not seed:
            return k0, k1


def episode_key(key: Key, episode: int) -> Key:
    """The key of one episode; draws inside the episode use it with :func:`bits`."""
    k0 = mix((key[0] + episode * GOLDEN) & MASK)
    return k0, mix(key[1] ^ k0)


def bits(key: Key, counter: int, stream: int) -> int:
    """32 random bits for ``counter`` in ``stream`` of the episode whose key is ``key``."""
    word = mix((key[0] + counter * GOLDEN + stream * STREAM_STEP) & MASK)
    return mix(word ^ key[1])


def below(word: int, n: int) -> int:
    """Map 32 random bits to ``0 <= value < n`` by ``floor(word * n / 2**32)``; ``n < 2**16``."""
    return (word * n) >> 32


class Hash:
    """The functions above over arrays of ``xp.uint32``.

    Args:
        xp: ``numpy`` or ``jax.numpy``.
    """

    def __init__(self, xp: ModuleType | Any) -> None:
        self.xp = xp
        self._u = xp.uint32

    def mix(self, x: Any) -> Any:
        """Array form of :func:`mix`."""
        x = x ^ (x >> _SIXTEEN)
        x = x * _FIRST
        x = x ^ (x >> _FIFTEEN)
        x = x * _SECOND
        return x ^ (x >> _SIXTEEN)

    def episode_key(self, key: Any, episode: Any) -> Any:
        """Array form of :func:`episode_key`: ``key`` uint32[..., 2], ``episode`` integers [...]."""
        k0 = self.mix(key[..., 0] + episode.astype(self._u) * _GOLDEN)
        return self.xp.stack([k0, self.mix(key[..., 1] ^ k0)], axis=-1)

    def bits(self, key: Any, counter: Any, stream: int) -> Any:
        """Array form of :func:`bits`; ``counter``, integers, broadcasts with ``key[..., 0]``."""
        offset = np.uint32((stream * STREAM_STEP) & MASK)
        word = self.mix(key[..., 0] + (counter.astype(self._u) * _GOLDEN + offset))
        return self.mix(word ^ key[..., 1])

    def below(self, word: Any, n: Any) -> Any:
        """Array form of :func:`below` in 32-bit arithmetic; returns ``int32``.

        ``floor(word * n / 2**32)`` by halves, because JAX has no 64-bit words by default.
        """
        u = self._u
        n = self.xp.asarray(n).astype(u)
        high, low = word >> u(16), word & u(0xFFFF)
        return ((high * n + ((low * n) >> u(16))) >> u(16)).astype(self.xp.int32)
