"""Lanes that go through the model in turns: while some compute, the experts of others are read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain

from tropism_moe.config import BLOCK
from tropism_moe.expert_store import ExpertStore
from tropism_moe.serving_block import Indices, Through
from tropism_moe.serving_layers import Floats
from tropism_moe.store_errors import Key

SHARES, LEAST_SHARE = 4, 2
"""Shares of the lanes that go in turns, at most, and lanes of a share, at least."""


def shares(lanes: int, slots: int | None) -> list[slice]:
    """Lanes that go together; where the experts of all lanes have no room beside each other, few shares read the least.

    Args:
        lanes: of the batch.
        slots: slabs that have room beside each other; None is no limit.
    """
    most = SHARES if slots is None or lanes * (BLOCK - 1) <= slots else 2
    count = max(1, min(most, lanes // LEAST_SHARE))
    return [slice(lanes * n // count, lanes * (n + 1) // count) for n in range(count)]


def in_turns(turns: Sequence[Through], store: ExpertStore) -> list[tuple[Floats, Indices]]:
    """Let lanes go on in turns, each until it needs slabs, which are read until it is its turn again."""
    coming: dict[int, Iterable[Key]] = {}
    ends: dict[int, tuple[Floats, Indices]] = {}
    while len(ends) < len(turns):
        for number, turn in enumerate(turns):
            coming.pop(number, None)
            try:
                coming[number] = next(turn)
            except StopIteration as end:
                ends[number] = end.value
                continue
            if not store.resident_all:
                store.prefetch(dict.fromkeys(chain.from_iterable(coming.values())))
    return [ends[number] for number in range(len(turns))]
