"""Which slabs are in memory: when a byte budget is reached, the least recently used ones leave, then what is expected last.

That the slab which is needed farthest ahead should leave is the rule of Belady (1966, doi:10.1147/sj.52.0078); of what nobody has announced
the past has to tell.
Slabs are asked for in an order; what is admitted and what leaves depends on that order alone, never on how fast a disk was, so that a policy
that prefers resident experts decides the same in every run.

There is one entry for every slab of a store, in memory or not, that all tables hold: to look a slab up by its key takes longer than to
do something with it, and is done once a request.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from time import perf_counter

from tropism_moe.store_format import Slab
from tropism_moe.store_source import Job, Loaded, Source
from tropism_moe.store_stats import StoreStats


class Entry:
    """A slab, where it is, and when it is expected.

    Args:
        slab: itself.
        number: in the order of the file, from 0.
        size: bytes to set aside for it.

    Attributes:
        slab: see above.
        number: see above.
        size: see above.
        nbytes: that it takes, or may take, in memory or on its way there.
        loaded: the slab, once it was asked for, as long as it is in memory.
        job: that brings it, until then.
        due: numbers of the requests for which it is expected.
    """

    __slots__ = "due", "job", "loaded", "nbytes", "number", "size", "slab"

    def __init__(self, slab: Slab, number: int, size: int) -> None:
        self.slab, self.number, self.size, self.nbytes = slab, number, size, 0
        self.loaded: Loaded | None = None
        self.job: Job | None = None
        self.due: list[int] = []

    @property
    def here(self) -> bool:
        """Whether it is in memory or on its way there."""
        return self.loaded is not None or self.job is not None


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
        self._here: dict[Entry, None] = {}
        self._leaving: OrderedDict[Entry, None] = OrderedDict()  # all of them but what is expected
        self._order: dict[int, Entry] = {}  # of requests that are expected, numbered
        self._announced = self._held = 0
        self._reached = 0  # of what is expected, all with lower numbers is here
        self._changing = False  # for long only where an interrupt came between two steps

    @property
    def held(self) -> int:
        """Bytes of all slabs; counted anew if an interrupt came while they changed."""
        if self._changing:
            self._held = sum(entry.nbytes for entry in self._here)
            self._changing = False
        return self._held

    def expect(self, entries: Iterable[Entry]) -> None:
        """Keep these until they are asked for; what was expected before and never asked for is the first to leave."""
        for entry in self._order.values():
            entry.due.clear()
        self._order, self._reached = {}, self._announced
        self.expect_more(entries)
        for entry in self._forgotten():
            self._leaving[entry] = None
            self._leaving.move_to_end(entry, last=False)

    def _forgotten(self) -> list[Entry]:
        """What nobody expects and does not leave yet: what was expected before, or where an interrupt came between two steps."""
        return [entry for entry in self._here if not entry.due and entry not in self._leaving]

    def expect_more(self, entries: Iterable[Entry]) -> None:
        """Keep these until they are asked for once more than was expected before."""
        for number, entry in enumerate(entries, self._announced):
            self._announced = number + 1  # first: no number is given twice
            self._order[number] = entry
            entry.due.append(number)
            self._leaving.pop(entry, None)

    def coming(self) -> Iterator[tuple[int, Entry]]:
        """What is expected and not here, the next first, and how many requests are expected before."""
        for place, (number, entry) in enumerate(self._order.items()):
            if number < self._reached:
                continue
            self._reached = number
            if not entry.here:
                yield place, entry

    def asked(self, entry: Entry) -> None:
        """Take a request for a slab that is here, which is the last to leave unless it is expected again."""
        due = entry.due
        if due:
            self._order.pop(due.pop(0), None)
        if not due:
            self._leaving[entry] = None
            self._leaving.move_to_end(entry)

    def admit(self, entry: Entry, job: Job | None, loaded: Loaded | None = None) -> None:
        """Enter a slab for which there is room and that is read, or will be by a job, if it is expected."""
        before, self._changing = self._changing or entry in self._here, True
        self._here[entry] = None
        entry.nbytes = entry.size if loaded is None else loaded.nbytes
        entry.job, entry.loaded = job, loaded
        self._held += entry.nbytes
        self._changing = before

    def drop(self, entry: Entry) -> None:
        """Forget a slab, unless all were forgotten meanwhile."""
        before, self._changing = self._changing, True
        if entry.due:
            self._reached = min(self._reached, entry.due[0])
        entry.loaded = entry.job = None
        self._leaving.pop(entry, None)
        if entry in self._here:
            del self._here[entry]
            self._held -= entry.nbytes
        self._changing = before

    def fill(self, entry: Entry, loaded: Loaded) -> None:
        """Enter what a job has brought, which may take more or less than was set aside."""
        before, self._changing = self._changing, True
        self._held += loaded.nbytes - entry.nbytes
        entry.nbytes, entry.loaded, entry.job = loaded.nbytes, loaded, None
        self._changing = before

    def make_room(self, nbytes: int, kept: Entry | None = None, later: Entry | None = None) -> bool:
        """Evict what is not expected, but one that is ``kept``, until there is room for ``nbytes``; whether there is.

        Then what is expected ``later`` than a slab, if one is given, the last first.
        """
        while not self.has_room(nbytes):
            if self._evict_first(self._leaving, kept):
                continue
            if later is None or not self._evict_first(self._after(later), kept):
                return False
        return True

    def make_room_of_all(self, nbytes: int, kept: Entry | None) -> bool:
        """The same, then of all that is expected, the last first, and at last of the one that was kept."""
        while not self.make_room(nbytes, kept):
            last = [kept] if kept in self._here else []
            if not (
                self._evict_first(self._after(None), kept)
                or self._evict_first(self._forgotten(), kept)
                or self._evict_first(last, None)
            ):
                return False
        return True

    def _after(self, entry: Entry | None) -> Iterator[Entry]:
        """What is expected later than a slab, or all, as far as it is here; the last first."""
        for number, other in reversed(self._order.items()):
            if other.due and other.due[0] == number:  # else it is expected sooner, too
                if other is entry:
                    return
                if other in self._here:  # if only because an interrupt kept it from leaving
                    yield other

    def has_room(self, nbytes: int) -> bool:
        """Whether nothing has to leave for so much."""
        held = self.held if self._changing else self._held
        return self.budget is None or self.budget - held >= nbytes

    def _evict_first(self, entries: Iterable[Entry], kept: Entry | None) -> bool:
        """Evict the first slab that can be; whether there was one."""
        for entry in entries:  # noqa: SIM110  `any` takes twice as long
            if entry is not kept and self._evict(entry):
                return True
        return False

    def _evict(self, entry: Entry) -> bool:
        """Give a slab up, waiting for it if a reader is at it; False if somebody still uses it."""
        loaded, job = entry.loaded, entry.job
        if loaded is None and job is not None and not job.take_back():
            began = perf_counter()
            loaded = job.wait()
            self._stats.stall_s += perf_counter() - began
            self._stats.bytes_read += loaded.slab.padded if loaded else 0
        if loaded is not None and self._source.in_use(loaded):
            return False
        self.drop(entry)  # before its memory becomes another's
        if loaded is not None:
            self._source.release(loaded)
            self._stats.evictions += 1
        return True

    def clear(self) -> None:
        """Forget all slabs, though another thread may be at them."""
        self._here, self._order, self._leaving = {}, {}, OrderedDict()
        self._held, self._changing = 0, False
