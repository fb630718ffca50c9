"""Permutations of the Hop tier, for plain Python and for arrays: hops, numbers and back."""

from __future__ import annotations

from math import factorial
from typing import Any

import numpy as np

from tropism.envs.patternworld.params import SYMBOLS


def hop(permutation: list[int], symbol: int, k: int) -> int:
    """``permutation`` applied ``k`` times to ``symbol``."""
    for _ in range(k):
        symbol = permutation[symbol]
    return symbol


def rank(permutation: list[int]) -> int:
    """Lexicographic number of a permutation (Lehmer code), in ``[0, n!)``."""
    n = len(permutation)
    return sum(
        sum(later < first for later in permutation[i + 1 :]) * factorial(n - 1 - i)
        for i, first in enumerate(permutation)
    )


def unrank(number: int, n: int = SYMBOLS) -> list[int]:
    """The permutation of ``range(n)`` whose :func:`rank` is ``number``."""
    items = list(range(n))
    return [items.pop(digit) for digit in _factorial_digits(number, n)]


def _factorial_digits(number: int, n: int) -> list[int]:
    digits = []
    for i in range(n - 1, -1, -1):
        digit, number = divmod(number, factorial(i))
        digits.append(digit)
    return digits


def once(xp: Any, value: Any) -> Any:
    """``value``, computed once: XLA would compute it again for every element of what is made from it."""
    if xp is np:
        return value
    from jax.lax import optimization_barrier

    return optimization_barrier(value)


def pick(xp: Any, items: Any, index: Any) -> Any:
    """``items[..., index]`` of ``int32[..., n]``; for XLA, whose gathers and short sums are slow, by selects."""
    if xp is np:
        return items[np.arange(len(items)), index]
    chosen = items[..., 0]
    for n in range(1, items.shape[-1]):
        chosen = xp.where(index == n, items[..., n], chosen)
    return chosen


def array_hop(xp: Any, permutation: Any, symbol: Any, k: Any) -> Any:
    """Array form of :func:`hop`: ``permutation`` [..., 8], ``symbol`` and ``k`` (at most 8) [...]."""
    for n in range(SYMBOLS):
        following = pick(xp, permutation, symbol)
        symbol = xp.where(n < k, following, symbol)
    return symbol


def array_rank(xp: Any, permutation: Any) -> Any:
    """Array form of :func:`rank`: ``int32[..., 8]`` to ``int32[...]``."""
    number = permutation[..., 0] * 0
    for i in range(SYMBOLS - 1):
        smaller = (permutation[..., i + 1 :] < permutation[..., i : i + 1]).astype(xp.int32).sum(-1)
        number = number + smaller.astype(xp.int32) * factorial(SYMBOLS - 1 - i)
    return number


def array_unrank(xp: Any, number: Any) -> Any:
    """Array form of :func:`unrank`: each factorial digit counts the remaining symbols to skip."""
    symbols = xp.arange(SYMBOLS, dtype=xp.int32)
    free, chosen = (symbols + number[..., None] * 0) >= 0, []
    for i in range(SYMBOLS - 1, -1, -1):
        digit, number = number // factorial(i), number % factorial(i)
        position = xp.cumsum(free.astype(xp.int32), -1).astype(xp.int32) - 1
        picked = free & (position == digit[..., None])
        chosen.append((symbols * picked).sum(-1).astype(xp.int32))
        free = free & ~picked
    return xp.stack(chosen, -1)
