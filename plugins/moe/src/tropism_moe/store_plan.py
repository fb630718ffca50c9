"""How a store is opened: how it is read, what its slabs take in memory, and whether the budget has room for that."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from io import FileIO
from typing import Literal, get_args

from tropism.errors import OptionError
from tropism_moe.shapes import check_sizes
from tropism_moe.store_errors import BudgetError, Key, PathLike, StoreReadError
from tropism_moe.store_format import Index
from tropism_moe.store_mapped import MappedSource
from tropism_moe.store_ring import RingSource
from tropism_moe.store_source import Source, Transform

Mode = Literal["mmap", "resident", "ring"]
NEAR = 3
"""Part of the budget that is for what comes next, whatever comes later."""
BATCHES = 8
"""Parts of the budget, of which one at a time is filled anew."""
FEW, SHARE = 6, 8
"""Readers that may have buffers of their own however small the budget, and the part of it that those of more may take."""


@dataclass(frozen=True)
class Plan:
    """Numbers that follow from a store and how it is opened.

    Attributes:
        index: of the store.
        sizes: bytes to set aside for each slab.
        budget: bytes for slabs, without those of buffers that only a transform reads; None is no limit.
        readers: threads that read ahead.
    """

    index: Index
    sizes: dict[Key, int]
    budget: int | None
    readers: int

    @cached_property
    def slots(self) -> int | None:
        """Slabs that have room beside each other; None is no limit."""
        return None if self.budget is None else self.budget // max(self.sizes.values())

    @property
    def near(self) -> int:
        """Slabs that come next, for which what comes later has to leave."""
        return (self.slots or 0) // NEAR

    @property
    def batch(self) -> int:
        """Slabs after which what was announced is looked at again: to wake readers takes as long as to serve some slabs."""
        return max(1, (self.slots or 0) // BATCHES)


def check_options(path: PathLike, mode: str, budget_bytes: int | None, readers: int) -> None:
    """Refuse what is out of range.

    Raises:
        OptionError: naming the argument, its value and the range.
    """
    if mode not in get_args(Mode):
        raise OptionError(f"mode={mode!r} must be one of {', '.join(map(repr, get_args(Mode)))}")
    if budget_bytes is None and mode == "ring":
        raise OptionError(f"{os.fspath(path)}: mode='ring' needs budget_bytes, a number of bytes")
    if budget_bytes is not None:
        check_sizes(budget_bytes=budget_bytes)
    check_sizes(readers=readers)


def open_file(path: PathLike) -> FileIO:
    """The file of a store, for reading.

    Raises:
        StoreReadError: it cannot be opened.
    """
    try:
        return open(path, "rb", buffering=0)
    except OSError as error:
        raise StoreReadError(
            path, f"the store cannot be opened ({error.strerror or error})", "check the path, or pack the model"
        ) from error  # fmt: skip


def open_source(
    file: FileIO, path: PathLike, index: Index, mode: Mode, budget: int | None, transform: Transform | None, readers: int
) -> Source:  # fmt: skip
    """What brings the slabs of an open store in a mode."""
    if mode == "mmap":
        return MappedSource(file, path, index, transform, budget)
    past_cache = mode == "ring"
    kept = budget if past_cache else None
    return RingSource(file, path, index, transform, kept, readers, past_cache)


def make_plan(
    path: PathLike, index: Index, source: Source, mode: Mode, budget: int | None, readers: int
) -> Plan:  # fmt: skip
    """What slabs take, and how many threads there is room for.

    A transform is tried on the longest slab to see how much it makes.

    Raises:
        BudgetError: the budget is too small.
        StoreError: the longest slab cannot be read.
    """
    sizes = {key: source.size(slab) for key, slab in index.slabs.items()}
    if budget is None:
        return Plan(index, sizes, None, readers)
    if source.in_place or mode == "ring":
        _require(path, budget, sizes, mode, 0)
    if source.in_place:
        return Plan(index, sizes, budget, readers)
    buffer = max(sizes.values()) if mode == "ring" else 0
    longest = max(index.slabs.values(), key=lambda slab: slab.length)
    tried = source.load(longest)
    made = tried.nbytes
    source.release(tried)
    sizes = dict.fromkeys(sizes, made)
    _require(path, budget, sizes, mode, buffer)
    if buffer:
        share = max(FEW, budget // SHARE // buffer)  # else slabs would have no room
        readers = min(readers, share, (budget - 2 * made) // buffer - 1)
    return Plan(index, sizes, budget - (readers + 1) * buffer, readers)


def _require(path: PathLike, budget: int, sizes: dict[Key, int], mode: Mode, buffer: int) -> None:
    """Refuse a budget without room for two slabs, in ``resident`` mode for all, and for a buffer to read each of two."""
    if mode == "resident":
        need, reason = sum(sizes.values()), f"mode='resident' keeps all {len(sizes)} slabs"
    else:
        need, reason = 2 * (max(sizes.values()) + buffer), "it must have room for two slabs"
    if budget < need:
        raise BudgetError(path, budget, need, reason)
