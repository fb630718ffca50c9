"""Which slabs are in memory: when a byte budget is reached, the least recently used ones leave, then what is expected last.

That the slab which is needed farthest ahead should leave is the rule of Belady (1966, doi:10.1147/sj.52.0078); of what nobody has announced
the past has to tell.
Slabs are asked for in an order; what is admitted and what leaves depends on that order alone, never on how fast a disk was, so that a policy
that prefers resident experts decides the same in every run.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from time import perf_counter

from tropism_moe.store_errors import Key
from tropism_moe.store_source import Job, Loaded, Source
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
    """Slabs in memory and on their way there.

    Those that were asked for leave in the order in which they last were; what is expected stays until then, as often as it is.

    Args:
        budget: bytes that they may take together; None is no limit.
        source: what they are from.
        stats: where slabs that leave are counted.
    """

    def __init__(self, budget: int | None, source: Source, stats: StoreStats) -> None:
        self.budget, self._source, self._stats = budget, source, stats
        self._entries: dict[Key, Entry] = {}
        self._leaving: OrderedDict[Key, None] = OrderedDict()  # all but what is expected
        self._order: dict[int, Key] = {}  # of requests that are expected, numbered
        self._due: dict[Key, deque[int]] = {}  # their numbers
        self._announced = self._held = 0
        self._changing = False  # for long only where an interrupt came between two steps

    @property
    def held(self) -> int:
        """Bytes of all slabs; counted anew if an interrupt came while they changed."""
        if self._changing:
            self._held = sum(entry.nbytes for entry in self._entries.values())
            self._changing = False
        return self._held

    def __contains__(self, key: object) -> bool:
        return key in self._entries

    def expect(self, keys: Iterable[Key]) -> None:
        """Keep these until they are asked for; what was expected before and never asked for is the first to leave."""
        self._order, self._due = {}, {}
        self.expect_more(keys)
        for key in self._forgotten():
            self._leaving[key] = None
            self._leaving.move_to_end(key, last=False)

    def _forgotten(self) -> list[Key]:
        """What nobody expects and does not leave yet: what was expected before, or where an interrupt came between two steps."""
        return [key for key in self._entries if key not in self._due and key not in self._leaving]

    def expect_more(self, keys: Iterable[Key]) -> None:
        """Keep these until they are asked for once more than was expected before."""
        for number, key in enumerate(keys, self._announced):
            self._order[number] = key
            self._due.setdefault(key, deque()).append(number)
            self._leaving.pop(key, None)
            self._announced = number + 1

    def coming(self) -> Iterator[tuple[int, Key]]:
        """What is expected and neither in memory nor on its way, the next first, and how many requests are expected before."""
        for place, key in enumerate(self._order.values()):
            if key not in self._entries:
                yield place, key

    def ask(self, key: Key) -> Entry | None:
        """The entry of a slab, which is the last to leave unless it is expected again."""
        entry = self._entries.get(key)
        if entry is not None:
            numbers = self._due.pop(key, None)
            if numbers:
                self._order.pop(numbers.popleft(), None)
            if numbers:
                self._due[key] = numbers
            else:
                self._leaving[key] = None
                self._leaving.move_to_end(key)
        return entry

    def admit(self, key: Key, entry: Entry) -> None:
        """Enter a slab for which there is room, and which is expected."""
        before, self._changing = self._changing, True
        self._entries[key] = entry
        self._held += entry.nbytes
        self._changing = before

    def drop(self, key: Key) -> None:
        """Forget a slab, unless all were forgotten meanwhile."""
        before, self._changing = self._changing, True
        self._leaving.pop(key, None)
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._held -= entry.nbytes
        self._changing = before

    def fill(self, entry: Entry, loaded: Loaded) -> None:
        """Enter what a prefetch has brought, which may take more or less than was set aside."""
        before, self._changing = self._changing, True
        self._held += loaded.nbytes - entry.nbytes
        entry.nbytes, entry.loaded, entry.job = loaded.nbytes, loaded, None
        self._changing = before

    def make_room(self, nbytes: int, kept: Key | None = None, later: Key | None = None) -> bool:
        """Evict what is not expected, but one that is ``kept``, until there is room for ``nbytes``; whether there is.

        Then what is expected ``later`` than a slab, if one is given, the last first.
        """
        while not self.has_room(nbytes):
            if self._evict_first(self._leaving, kept):
                continue
            if later is None or not self._evict_first(self._after(later), kept):
                return False
        return True

    def make_room_of_all(self, nbytes: int, kept: Key | None) -> bool:
        """The same, then of all that is expected, the last first, and at last of the one that was kept."""
        while not self.make_room(nbytes, kept):
            last = [kept] if kept in self._entries else []
            if not (
                self._evict_first(self._after(None), kept)
                or self._evict_first(self._forgotten(), kept)
                or self._evict_first(last, None)
            ):
                return False
        return True

    def _after(self, key: Key | None) -> Iterator[Key]:
        """What is expected later than a slab, or all, as far as it is in memory or on its way; the last first."""
        for number, other in reversed(self._order.items()):
            due = self._due.get(other)
            if due and due[0] == number:  # else it is expected sooner, too
                if other == key:
                    return
                if other in self._entries:
                    yield other

    def has_room(self, nbytes: int) -> bool:
        """Whether nothing has to leave for so much."""
        held = self.held if self._changing else self._held
        return self.budget is None or self.budget - held >= nbytes

    def _evict_first(self, keys: Iterable[Key], kept: Key | None) -> bool:
        """Evict the first slab that can be; whether there was one."""
        for key in keys:  # noqa: SIM110  `any` takes twice as long
            if key != kept and self._evict(key):
                return True
        return False

    def _evict(self, key: Key) -> bool:
        """Give a slab up, waiting for it if a reader is at it; False if somebody still uses it."""
        entry = self._entries[key]
        loaded = entry.loaded
        if loaded is None and entry.job is not None and not entry.job.take_back():
            began = perf_counter()
            loaded = entry.job.wait()
            self._stats.stall_s += perf_counter() - began
            self._stats.bytes_read += loaded.slab.padded if loaded else 0
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
        self._leaving.clear()
        self._order.clear()
        self._due.clear()
        self._held, self._changing = 0, False
