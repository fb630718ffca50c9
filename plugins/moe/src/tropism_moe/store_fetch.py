"""Slabs on request: from memory, from a read that was begun ahead, or read on the spot."""

from __future__ import annotations

from collections.abc import Iterable
from time import perf_counter
from typing import Any

from tropism_moe.slab_cache import Entry, SlabCache
from tropism_moe.store_buffers import Buffer
from tropism_moe.store_errors import BudgetError, Key, PathLike, StoreClosedError, missing
from tropism_moe.store_format import Slab
from tropism_moe.store_plan import Plan
from tropism_moe.store_source import Loaded, Source
from tropism_moe.store_stats import StoreStats


class Fetcher:
    """Serves one thread that asks, with threads of its own that read ahead.

    Room is made by the asking thread alone, when it asks or announces; the readers only fill it.  So what is in memory depends on the
    order of requests, not on who was faster.

    Args:
        path: of the store, for messages.
        plan: what slabs take and how many readers there are.
        source: what brings them.

    Attributes:
        stats: what happened so far.
        cache: what is in memory.
    """

    def __init__(self, path: PathLike, plan: Plan, source: Source) -> None:
        self.stats = StoreStats(direct_io=source.direct)
        self.cache = SlabCache(plan.budget, source, self.stats)
        self._path, self._plan, self._source, self._slabs = path, plan, source, plan.index.slabs
        self._readers = source.readers(plan.readers)
        self._lent: Key | None = None
        self._waiting, self._asked, self._batch, self._near = False, 0, plan.batch, plan.near
        self._closed = False

    def get(self, key: Key) -> Any:
        """A slab's bytes, or what the transform made of them; see :meth:`tropism_moe.expert_store.ExpertStore.get`."""
        entry = self.cache.ask(key)
        loaded = None if entry is None else entry.loaded
        if loaded is None:
            loaded = self._miss(key, entry)
        else:
            self.stats.hits += 1
        self._lent, value = key, loaded.value
        if isinstance(value, Buffer):
            value = value.lend()
        self._asked += 1
        if self._waiting and self._asked >= self._batch:
            self._begin_coming()
        return value

    def announce(self, keys: Iterable[Key], more: bool = False) -> None:
        """Read ahead; see :meth:`tropism_moe.expert_store.ExpertStore.prefetch`."""
        self._check_open()
        keys = dict.fromkeys(keys)
        for key in keys.keys() - self._slabs.keys():
            raise missing(self._path, key, self._slabs)
        (self.cache.expect_more if more else self.cache.expect)(keys)
        self._begin_coming()

    def read_all(self) -> None:
        """Read every slab, in the order of the file."""
        begun = [(slab, self._begin(slab)) for slab in self._slabs.values()]
        self._readers.flush()
        for slab, entry in begun:
            self._await(slab, entry)

    def close(self) -> None:
        """Stop reading and close the file."""
        self._closed = True
        self._readers.close()
        self.cache.clear()
        self._source.close()

    def slab(self, key: Key) -> Slab:
        """Where a slab is.

        Raises:
            MissingSlabError: there is none.
        """
        slab = self._slabs.get(key)
        if slab is None:
            raise missing(self._path, key, self._slabs)
        return slab

    def _miss(self, key: Key, entry: Entry | None) -> Loaded:
        """Have a slab that nobody asked for since it was last read."""
        self._check_open()
        began = perf_counter()
        try:
            if entry is None:
                loaded = self._read_now(self.slab(key))
                self.stats.prefetch_misses += 1
            else:
                loaded = self._await(self._slabs[key], entry)
                self.stats.prefetch_hits += 1
        finally:
            self.stats.stall_s += perf_counter() - began
        if not self.cache.has_room(0):  # transforms may make more than was set aside
            self.cache.make_room_of_all(0, key)
        return loaded

    def _read_now(self, slab: Slab) -> Loaded:
        """Read a slab in this thread: it would only wait for another."""
        size = self._plan.sizes[slab.key]
        if not self.cache.make_room_of_all(size, self._lent):
            raise BudgetError(
                self._path, self.cache.budget or 0, self.cache.held + size,
                "arrays that are still in use fill it, and one more is asked for",
            )  # fmt: skip
        loaded = self._load(slab)
        self.cache.admit(slab.key, Entry(loaded.nbytes, loaded))
        self.cache.ask(slab.key)
        return loaded

    def _await(self, slab: Slab, entry: Entry) -> Loaded:
        """A slab that a prefetch brings; read here if no reader has begun."""
        assert entry.job is not None
        try:
            mine = entry.job.take_back()
            loaded = self._load(slab) if mine else self._counted(entry.job.result())
        except Exception:
            self.cache.drop(slab.key)
            raise
        self.cache.fill(entry, loaded)
        return loaded

    def _begin_coming(self) -> None:
        """Have what was announced read, the next first, as far as there is room.

        The next ones get the room of what is expected later; the others do not, since that would have to be read again.
        """
        self._asked, self._waiting = 0, True
        for place, key in self.cache.coming():
            later = key if place < self._near else None
            if not self.cache.make_room(self._plan.sizes[key], self._lent, later):
                break
            self._begin(self._slabs[key])
        else:
            self._waiting = False
        self._readers.flush()

    def _begin(self, slab: Slab) -> Entry:
        """Have a slab read for which there is room."""
        job = self._readers.job(slab)
        entry = Entry(self._plan.sizes[slab.key], job=job)
        self.cache.admit(slab.key, entry)  # first: what no reader gets is read when it is asked for
        job.begin()
        return entry

    def _load(self, slab: Slab) -> Loaded:
        self._check_open()
        return self._counted(self._source.load(slab))

    def _counted(self, loaded: Loaded) -> Loaded:
        self.stats.bytes_read += loaded.slab.padded
        return loaded

    def _check_open(self) -> None:
        if self._closed:
            raise StoreClosedError(self._path, "the store is closed", "open it again")
