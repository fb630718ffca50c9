"""What a store did: how often it had what was asked for, and how long the caller waited."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class StoreStats:
    """Counts of a store since it was opened; all but times and ``direct_io`` depend on the order of requests alone.

    Attributes:
        hits: requests for slabs that were in memory from an earlier request, or from the start.
        prefetch_hits: requests for slabs that a prefetch had read or was reading.
        prefetch_misses: requests for slabs that nobody had announced, or for which there was no room.
        evictions: slabs that left memory for others.
        bytes_read: from the file, of slabs that were asked for or have left, those of unsuccessful attempts not counted.
        stall_s: seconds that requests waited for slabs, transforms included.
        compute_s: seconds of computing; the caller adds them.
        substitutions: requests for another expert than the nearest; the caller counts them.
        direct_io: whether reads go past the page cache (O_DIRECT); False in ``ring`` mode means that the file system refuses it.
    """

    hits: int = 0
    prefetch_hits: int = 0
    prefetch_misses: int = 0
    evictions: int = 0
    bytes_read: int = 0
    stall_s: float = 0.0
    compute_s: float = 0.0
    substitutions: int = 0
    direct_io: bool = False

    @property
    def misses(self) -> int:
        """Requests for which a slab had to be read, whether in time or not."""
        return self.prefetch_hits + self.prefetch_misses

    @property
    def requests(self) -> int:
        """Requests that were met."""
        return self.hits + self.misses
