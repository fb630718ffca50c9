"""Slabs on request: from memory, from a read that was begun ahead, or read on the spot."""

from __future__ import annotations

from collections.abc import Iterable
from time import perf_counter
from typing import Any

from tropism_moe.slab_cache import Entry, SlabCache
from tropism_moe.store_buffers import Buffer
from tropism_moe.store_errors import BudgetError, Key, PathLike, StoreClosedError, missing
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
        entries: of all slabs, by layer and expert; of a closed store none.
    """

    def __init__(self, path: PathLike, plan: Plan, source: Source) -> None:
        self.stats = StoreStats(direct_io=source.direct)
        self.cache = SlabCache(plan.budget, source, self.stats)
        self._path, self._source = path, source
        self.entries = {
            key: Entry(slab, number, plan.sizes[key])
            for number, (key, slab) in enumerate(plan.index.slabs.items())
        }
        self._readers = source.readers(plan.readers)
        self._lent: Entry | None = None
        self._waiting, self._asked, self._batch, self._near = False, 0, plan.batch, plan.near
        self._closed = False

    def get(self, key: Key) -> Any:
        """A slab's bytes, or what the transform made of them; see :meth:`tropism_moe.expert_store.ExpertStore.get`."""
        entry = self.entries.get(key) or self._entry(key)
        loaded = entry.loaded
        if loaded is None:
            loaded = self._miss(entry)
        else:
            self.cache.asked(entry)
            self.stats.hits += 1
        self._lent, value = entry, loaded.value
        if isinstance(value, Buffer):
            value = value.lend()
        self._asked += 1
        if self._waiting and self._asked >= self._batch:
            self._begin_coming()
        return value

    def announce(self, keys: Iterable[Key], more: bool = False) -> None:
        """Read ahead; see :meth:`tropism_moe.expert_store.ExpertStore.prefetch`."""
        self._check_open()
        entries = dict.fromkeys(self.entries.get(key) or self._entry(key) for key in keys)
        (self.cache.expect_more if more else self.cache.expect)(entries)
        self._begin_coming()

    def read_all(self) -> None:
        """Read every slab, in the order of the file."""
        for entry in self.entries.values():
            self._begin(entry)
        self._readers.flush()
        for entry in self.entries.values():
            self._await(entry)

    def close(self) -> None:
        """Stop reading and close the file."""
        self._closed = True
        self._readers.close()
        self.entries, self._lent = {}, None
        self.cache.clear()
        self._source.close()

    def _entry(self, key: Key) -> Entry:
        """Of a slab that there may be.

        Raises:
            StoreClosedError: the store was closed.
            MissingSlabError: there is none.
        """
        self._check_open()
        if key not in self.entries:
            raise missing(self._path, key, self.entries)
        return self.entries[key]

    def _miss(self, entry: Entry) -> Loaded:
        """Have a slab that nobody asked for since it was last read."""
        self._check_open()
        began = perf_counter()
        try:
            if entry.job is None:
                loaded = self._read_now(entry)
                self.stats.prefetch_misses += 1
            else:
                self.cache.asked(entry)
                loaded = self._await(entry)
                self.stats.prefetch_hits += 1
        finally:
            self.stats.stall_s += perf_counter() - began
        if not self.cache.has_room(0):  # transforms may make more than was set aside
            self.cache.make_room_of_all(0, entry)
        return loaded

    def _read_now(self, entry: Entry) -> Loaded:
        """Read a slab in this thread: it would only wait for another."""
        if not self.cache.make_room_of_all(entry.size, self._lent):
            raise BudgetError(
                self._path, self.cache.budget or 0, self.cache.held + entry.size,
                "arrays that are still in use fill it, and one more is asked for",
            )  # fmt: skip
        loaded = self._load(entry)
        self.stats.bytes_read += entry.slab.padded
        self.cache.admit(entry, None, loaded)
        self.cache.asked(entry)
        return loaded

    def _await(self, entry: Entry) -> Loaded:
        """A slab that a prefetch brings; read here if no reader has begun."""
        job = entry.job
        assert job is not None
        try:
            loaded = self._load(entry) if job.take_back() else job.result()
        except Exception:
            self.cache.drop(entry)
            raise
        self.stats.bytes_read += entry.slab.padded
        self.cache.fill(entry, loaded)
        return loaded

    def _begin_coming(self) -> None:
        """Have what was announced read, the next first, as far as there is room.

        The next ones get the room of what is expected later; the others do not, since that would have to be read again.
        """
        self._asked, self._waiting = 0, True
        for place, entry in self.cache.coming():
            later = entry if place < self._near else None
            if not self.cache.make_room(entry.size, self._lent, later):
                break
            self._begin(entry)
        else:
            self._waiting = False
        self._readers.flush()

    def _begin(self, entry: Entry) -> None:
        """Have a slab read for which there is room."""
        job = self._readers.job(entry.slab, entry.number)
        self.cache.admit(entry, job)  # first: what no reader gets is read when it is asked for
        job.begin()

    def _load(self, entry: Entry) -> Loaded:
        self._check_open()
        return self._source.load(entry.slab)

    def _check_open(self) -> None:
        if self._closed:
            raise StoreClosedError(self._path, "the store is closed", "open it again")
