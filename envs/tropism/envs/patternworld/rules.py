"""The rule libraries of PatternWorld as look-up tables, and the law of switching between rules.

A rule maps the last token (and a context) to the next one.  Every library is one table
``int32[R, C, V]``: rule, context, token.  The context is the parity of the step for the origin's third rule,
the token before the last for second-order rules, and 0 otherwise.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

from tropism.envs.core.random import below, bits, episode_key, seed_key
from tropism.envs.patternworld.params import Params

IntArray = npt.NDArray[np.int32]

SEGMENTS, ARRANGEMENTS = 4, 3
"""The Alias tier walks a cycle of 4 segments; half of each is common to all rules, the other half comes in one of
3 arrangements, which makes 3**4 rules.  A rule that agrees for the next steps always exists, since it may differ
in another segment."""
DWELL, RULE, TOKEN, NOISE, NOISE_TOKEN, SHUFFLE, QUERY, SYMBOL = range(8)
"""Random streams of an episode, one a purpose: counted by regime (the first two), draw or step."""
SHUFFLE_STEP = 64
"""Counters that one shuffle may use, so that the shuffles of successive regimes never share a draw."""
MIN_ORDER = 24
"""Least multiplicative order of an affine rule's factor: no rule of a small library has a short cycle."""


@dataclass(frozen=True, eq=False)
class Library:
    """The rules of one task.

    Attributes:
        table: ``int32[R, C, V]``, next token of rule, context, token.
        context: ``"none"``, ``"phase"`` (step parity) or ``"previous"`` (the token before the last).
        names: one readable name a rule, length ``R``.
        successors: ``int32[R, V, N]``: rules that may follow a rule at a token (Alias), padded; ``None`` where
            any other rule may follow.
        num_successors: ``int32[R, V]``, how many of them are real; ``None`` likewise.
    """

    table: IntArray
    context: str
    names: tuple[str, ...]
    successors: IntArray | None = None
    num_successors: IntArray | None = None

    @property
    def num_rules(self) -> int:
        """Rules in the library, ``R``."""
        return self.table.shape[0]


@functools.lru_cache(maxsize=64)
def library(params: Params) -> Library:
    """The library of ``params``; not defined for the Hop tier, whose rules are permutations drawn anew."""
    return _BUILDERS[params.family](params)


def _arithmetic(params: Params) -> Library:
    """The origin's three rules: x + 1, 2 x, and x + 1 or x - 1 by the parity of the step."""
    v = params.vocabulary
    x = np.arange(v)
    table = np.stack([[x + 1, x + 1], [2 * x, 2 * x], [x + 1, x - 1]]) % v
    return Library(table.astype(np.int32), "phase", ("x + 1", "2 x", "x ± 1"))


def _affine(params: Params) -> Library:
    """``a x + b`` modulo a prime: a few drawn for a library, or every one of a split."""
    p = params.vocabulary
    pairs = _split_pairs(p, params.split) if params.num_rules == 0 else _draw_pairs(params)
    a, b = np.array(pairs).T
    table = (a[:, None] * np.arange(p) + b[:, None]) % p
    return Library(table[:, None].astype(np.int32), "none", tuple(f"{a} x + {b}" for a, b in pairs))


def _draw_pairs(params: Params) -> list[tuple[int, int]]:
    p = params.vocabulary
    key = episode_key(seed_key(params.library), 0)
    pairs: dict[tuple[int, int], None] = {}
    for n in range(1_000_000):
        a, b = below(bits(key, n, 0), p), below(bits(key, n, 1), p)
        if a and _order(a, p) >= MIN_ORDER:
            pairs[a, b] = None
        if len(pairs) == params.num_rules:
            break
    return list(pairs)


def _order(a: int, p: int) -> int:
    """Multiplicative order of ``a`` modulo the prime ``p``."""
    power, n = a, 1
    while power != 1:
        power, n = power * a % p, n + 1
    return n


def _split_pairs(p: int, split: str) -> list[tuple[int, int]]:
    """All invertible affine maps but the identity, halved by a hash so that no residue separates the halves."""
    pairs = [(a, b) for a in range(1, p) for b in range(p) if (a, b) != (1, 0)]
    if split == "all":
        return pairs
    key = episode_key(seed_key(0), 0)
    return [pair for n, pair in enumerate(pairs) if (bits(key, n, 2) & 1) == (split == "test")]


def _order2(params: Params) -> Library:
    """``a x + b y + c`` modulo a prime, ``y`` the token before ``x``; ``b != 0`` keeps it invertible."""
    p, key = params.vocabulary, episode_key(seed_key(params.library), 0)
    triples: dict[tuple[int, int, int], None] = {}
    n = 0
    while len(triples) < params.num_rules:
        a, b, c = (below(bits(key, n, stream), p) for stream in (3, 4, 5))
        if a and b:
            triples[a, b, c] = None
        n += 1
    a, b, c = np.array(list(triples)).T[:, :, None, None]
    y, x = np.arange(p)[:, None], np.arange(p)
    table = (a * x + b * y + c) % p
    names = tuple(f"{a} x + {b} y + {c}" for a, b, c in triples)
    return Library(table.astype(np.int32), "previous", names)


def _alias(params: Params) -> Library:
    """Cycles through all tokens that agree on half of each segment and differ in the order of the other half."""
    v, half = params.vocabulary, params.vocabulary // SEGMENTS // 2
    choices = list(product(range(ARRANGEMENTS), repeat=SEGMENTS))
    table = np.empty((len(choices), v), np.int32)
    for r, choice in enumerate(choices):
        walk = np.arange(v)
        for segment, arrangement in enumerate(choice):
            first = (2 * segment + 1) * half
            walk[first : first + half] = first + _arrange(params, segment, arrangement, half)
        table[r, walk] = np.roll(walk, -1)
    names = tuple("arrangement " + "".join("ABC"[n] for n in choice) for choice in choices)
    successors, counts = _agreeing(table, params.agreement)
    return Library(table[:, None], "none", names, successors, counts)


def _arrange(params: Params, segment: int, arrangement: int, size: int) -> IntArray:
    """An order of ``size`` tokens drawn for the library: they are sorted by random words."""
    key = episode_key(seed_key(params.library), 1 + segment)
    words = [bits(key, n, arrangement) for n in range(size)]
    return np.argsort(np.array(words), kind="stable").astype(np.int32)


def _agreeing(table: IntArray, agreement: int) -> tuple[IntArray, IntArray]:
    """For rule ``r`` at token ``x``: the other rules whose next ``agreement`` tokens from ``x`` are the same."""
    rules, v = table.shape
    agrees = np.ones((rules, rules, v), bool)
    token = np.tile(np.arange(v), (rules, 1))
    for _ in range(agreement):
        following = np.take_along_axis(table, token, 1)
        agrees &= table[:, token].swapaxes(0, 1) == following[:, None]
        token = following
    agrees[np.arange(rules), np.arange(rules)] = False
    counts = agrees.sum(1)
    successors = np.argsort(~agrees, axis=1, kind="stable").transpose(0, 2, 1)
    return np.ascontiguousarray(successors[..., : counts.max()], np.int32), counts.astype(np.int32)


_BUILDERS = {"arithmetic": _arithmetic, "affine": _affine, "order2": _order2, "alias": _alias}


@functools.lru_cache(maxsize=64)
def dwell_thresholds(params: Params) -> npt.NDArray[np.uint32]:
    """Inverse distribution function of the geometric part of a dwell, ascending ``uint32[K]``.

    With 32 random bits ``w`` the geometric number is ``1 + #{thresholds > w}``: threshold ``k`` is
    ``floor(2**32 (1 - hazard)**k)``, made by repeated multiplication because that, unlike ``pow``, rounds the
    same everywhere.
    """
    survival, thresholds = 1.0, []
    while True:
        survival *= 1.0 - params.dwell[1]
        threshold = int(survival * 2**32)
        if not threshold:
            return np.array(thresholds[::-1], np.uint32)
        thresholds.append(threshold)
