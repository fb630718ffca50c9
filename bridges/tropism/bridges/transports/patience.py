"""How long to look again and again before sleeping: only where that pays."""

from __future__ import annotations

import os
from typing import ClassVar

SPIN_US = 200.0
COPIED_PER_S = 8e9
MISSES, REST, DOUBLINGS, LONG_LOOK = 4, 64, 4, 2


class Patience:
    """The time to spend on looking, for one session; it counts as one of this process until :meth:`end`.

    A sleeping process takes 20 to 100 microseconds to wake up, so looking for about that long is worth it, if a
    processor is free for it and the answer mostly comes in that time. It must be longer than the other side takes to
    wake up, else two that have both gone to sleep never meet awake again. When nothing comes, sleep at once, and try again
    now and then, more and more rarely.

    Args:
        spin_us: microseconds to look each time; None: decide by what happens.
        size: bytes of an observation, which take time to copy.

    Attributes:
        misses: how often in a row nothing came while looking; to be set to 0 when something does.
    """

    sessions: ClassVar[int] = 0
    """How many sessions live in this process."""

    def __init__(self, spin_us: float | None, size: int = 0) -> None:
        self._fixed = spin_us is not None
        self._budget = SPIN_US / 1e6 + size / COPIED_PER_S if spin_us is None else spin_us / 1e6
        self._processors = processors()
        self.misses = self._rest = 0
        self._over = False
        Patience.sessions += 1

    def seconds(self) -> float:
        """How long to look now."""
        if self._fixed:
            return self._budget
        if self._processors <= Patience.sessions:
            return 0.0
        if not self._rest:
            return self._budget
        self._rest -= 1
        return 0.0 if self._rest else LONG_LOOK * self._budget

    def miss(self) -> None:
        """Nothing came while looking."""
        self.misses += 1
        if self.misses >= MISSES:
            self._rest = REST << min(self.misses - MISSES, DOUBLINGS)

    def end(self) -> None:
        """The session is over; a second call does nothing, and who forgets it need not call."""
        Patience.sessions -= not self._over
        self._over = True

    def __del__(self) -> None:
        self.end()


def processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
