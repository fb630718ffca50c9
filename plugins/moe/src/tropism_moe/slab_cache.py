"""Which slabs are in memory: the least recently used ones leave when a byte budget is reached.

Slabs are asked for in an order; what is admitted and what leaves depends on that order alone, never on how fast a disk was, so that a policy
that prefers resident experts decides the same in every run.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Container
from dataclasses import dataclass

from tropism_moe.store_errors import Key
from tropism_moe.store_readers import Job
from tropism_moe.store_source import Loaded, Source
from tropism_moe.store_stats import StoreStats


@dataclass(slots=True)
class Entry:
    """A slab that was asked for, or that a prefetch brings and nobody has asked for yet.

    Attributes:
        nbytes: that it takes, or may take.
        loaded: the slab, once it was asked for.
        job: that brings it, until then.
    """

    nbytes: int
    loaded: Loaded | None = None
    job: Job | None = None


class SlabCache:
    """Slabs in memory and on their way there, least recently used first.

    Args:
        budget: bytes that they may take together; None is no limit.
        source: what they are from.
        stats: where slabs that leave are counted.
    """

    def __init__(self, budget: int | None, source: Source, stats: StoreStats) -> None:
        self.budget, self._source, self._stats = budget, source, stats
        self._entries: OrderedDict[Key, Entry] = OrderedDict()
        self._held: int | None = 0

    @property
    def held(self) -> int:
        """Bytes of all slabs; counted anew if an interrupt came while they changed."""
        if self._held is None:
            self._held = sum(entry.nbytes for entry in self._entries.values())
        return self._held

    def __contains__(self, key: object) -> bool:
        return key in self._entries

    def find(self, key: Key) -> Entry | None:
        """The entry of a slab, which thereby is the most recently used one."""
        entry = self._entries.get(key)
        if entry is not None:
            self._entries.move_to_end(key)
        return entry

    def admit(self, key: Key, entry: Entry) -> None:
        """Enter a slab for which there is room."""
        held, self._held = self.held, None
        self._entries[key] = entry
        self._held = held + entry.nbytes

    def drop(self, key: Key) -> None:
        """Forget a slab."""
        held, self._held = self.held, None
        self._held = held - self._entries.pop(key).nbytes

    def fill(self, entry: Entry, loaded: Loaded) -> None:
        """Enter what a prefetch has brought, which may take more or less than was set aside."""
        held, self._held = self.held, None
        more = loaded.nbytes - entry.nbytes
        entry.nbytes, entry.loaded, entry.job = loaded.nbytes, loaded, None
        self._held = held + more

    def make_room(self, nbytes: int, kept: Container[Key] = (), last: Key | None = None) -> bool:
        """Evict the least recently used slabs, but those ``kept`` and one more, until there is room for ``nbytes``; whether there is."""
        if self.budget is None:
            return True
        room = self.budget - self.held
        for key in list(self._entries) if room < nbytes else []:
            if key == last or key in kept:  # no call: there may be many
                continue
            entry = self._entries[key]
            if self._evict(key, entry):
                room += entry.nbytes
            if room >= nbytes:
                break
        return room >= nbytes

    def _evict(self, key: Key, entry: Entry) -> bool:
        """Give a slab up, waiting for it if a reader is at it; False if somebody still uses it."""
        loaded = entry.loaded
        if entry.job is not None and not entry.job.claim(reader=False):
            loaded = entry.job.wait()
        if loaded is not None and self._source.in_use(loaded):
            return False
        self.drop(key)  # before its memory becomes another's
        if loaded is not None:
            self._source.release(loaded)
            self._stats.evictions += 1
        return True

    def clear(self) -> None:
        """Forget all slabs."""
        self._entries.clear()
        self._held = 0
