"""Experts on disk, a budget of them in memory: slabs by layer and expert, read before they are needed.

Three residency modes give the same bytes (seed 002, with measurements; compare Alizadeh et al. 2023, arXiv:2312.11514).  ``resident``
reads everything at the start.  ``mmap`` leaves memory to the page cache, the fastest where the file fits into it.  ``ring`` reads past
the page cache into buffers of a hard byte budget.  What is kept of a slab may be what a transform makes of it: of a compact form on
disk, the form that is computed with.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tropism_moe.store_errors import Key, PathLike, missing
from tropism_moe.store_fetch import Fetcher
from tropism_moe.store_format import read_index
from tropism_moe.store_plan import (
    Mode,
    Plan,
    check_options,
    make_plan,
    open_file,
    open_source,
)
from tropism_moe.store_source import Source, Transform
from tropism_moe.store_stats import StoreStats
from tropism_moe.store_verify import Report, verify

__all__ = ["ExpertStore", "Report", "StoreStats", "verify"]
READERS: dict[str, int] = {"ring": 14, "mmap": 4, "resident": 4}
"""Slabs that are read ahead at the same time by mode, beside the one that the caller reads because it was not announced.

Past the page cache few threads begin so many reads (:mod:`tropism_moe.store_aio`): of 10 too few are on their way while others are checked, of
20 a single lane waits longer for the slab that it needs first.  Otherwise each has a thread, and where transforms make memory of their own,
each thread has an arena of it.
"""


class ExpertStore:
    """Slabs of one store; made by :meth:`open`.  One thread asks; reads run in threads of the store's own.

    Attributes:
        path: of the store.
        facts: of the whole store, as its writer gave them.
        slabs: places, lengths and metadata by ``(layer, expert)``.
        stats: what happened so far.
        resident_all: whether all slabs are in memory, for good.
        slots: slabs that have room beside each other; None if there is no limit.
    """

    def __init__(self, path: PathLike, plan: Plan, source: Source) -> None:
        self.path, self.facts, self.slabs = os.fspath(path), plan.index.facts, plan.index.slabs
        self._fetcher = Fetcher(path, plan, source)
        self.stats = self._fetcher.stats
        self.resident_all, self.slots = False, plan.slots
        self._experts: dict[int, int] = {}
        for layer, expert in self.slabs:
            self._experts[layer] = max(expert + 1, self._experts.get(layer, 0))

    @classmethod
    def open(
        cls,
        path: PathLike,
        mode: Mode = "mmap",
        budget_bytes: int | None = None,
        transform: Transform | None = None,
        readers: int | None = None,
    ) -> ExpertStore:
        """Open a store.

        Args:
            path: of the store.
            mode: ``mmap``, ``resident`` or ``ring``.
            budget_bytes: that slabs may take: in ``ring`` mode all memory of the store including what is being read, in ``mmap``
                mode what transforms make of slabs or, without one, the pages that are mapped; None is no limit, and not for
                ``ring``.
            transform: ``transform(data, meta)`` is kept instead of the bytes: an object with ``nbytes``, or a tuple of such,
                that does not share memory with ``data``; several threads call it.  A :class:`~tropism_moe.store_recode.Recode` is
                done without calling it, where the CPU has what compiled readers need.
            readers: slabs that are read ahead at the same time, at least 1, by default as :data:`READERS` says; fewer where the budget has
                no room for what a transform needs of them at once.

        Raises:
            OptionError: an argument is out of range.
            BudgetError: the budget is smaller than two slabs, or in ``resident`` mode than all.
            StoreError: the file cannot be opened or read, is no store, of another version, truncated or damaged.
        """
        readers = READERS.get(mode, 1) if readers is None else readers
        check_options(path, mode, budget_bytes, readers)
        file = open_file(path)
        try:
            index = read_index(file, path)
            source = open_source(file, path, index, mode, budget_bytes, transform, readers)
            plan = make_plan(path, index, source, mode, budget_bytes, readers)
            store = cls(path, plan, source)
        except BaseException:
            file.close()
            raise
        if mode == "resident":
            store._read_all()
        return store

    def get(self, layer: int, expert: int) -> Any:
        """A slab, read now unless it is in memory.

        Args:
            layer: from 0.
            expert: from 0.

        Returns:
            Its bytes, read-only ``uint8[length]`` at a page boundary, or what the transform made of them.  In ``ring`` mode, and where a
            :class:`~tropism_moe.store_recode.Recode` has a budget, the memory of an array stays the caller's, and a part of the budget, as
            long as it or a view of it is in use.  What another transform made is counted until it leaves, though the caller may keep it
            longer.

        Raises:
            MissingSlabError: there is none.
            ChecksumError: its bytes are damaged, and were so when read again.
            StoreReadError: the operating system cannot read it.
            StoreTruncatedError: the file has become too short.
            BudgetError: arrays that are still in use fill the budget.
            StoreClosedError: the store was closed.
        """
        return self._fetcher.get((layer, expert))

    def prefetch(self, keys: Iterable[Key], more: bool = False) -> None:
        """Announce which slabs come next, in order.

        They are read as far as there is room beside each other, the others as room is made by asking for the first: by an eighth of
        the budget at a time.

        Args:
            keys: of the slabs, each of which will be asked for once.
            more: they come after what was announced before, not in its place.  In whose place others come, and what was never asked
                for, is the first to leave.

        Raises:
            MissingSlabError: there is no such slab.
            StoreClosedError: the store was closed.
        """
        self._fetcher.announce(keys, more)

    def resident(self, layer: int) -> NDArray[np.bool_]:
        """Which experts of a layer are in memory or being read, ``bool[E]``; depends on what was asked for, not on speed.

        Raises:
            MissingSlabError: the layer has no slabs.
        """
        if layer not in self._experts:
            raise missing(self.path, (layer, 0), self.slabs)
        entries = self._fetcher.entries
        found = (entries.get((layer, expert)) for expert in range(self._experts[layer]))
        return np.array([entry is not None and entry.here for entry in found])

    def close(self) -> None:
        """Stop reading and close the file; arrays that were lent stay valid."""
        self._fetcher.close()

    def __enter__(self) -> ExpertStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read_all(self) -> None:
        try:
            self._fetcher.read_all()
            self.resident_all = True
        except BaseException:
            self.close()
            raise
