"""Waiting for sockets to be ready, without the limit of 1024 descriptors that `select` has."""

from __future__ import annotations

import math
import select
from typing import Protocol

READ, WRITE = 1, 4
"""Bits of what to wait for; the values of POLLIN and POLLOUT."""


class Poller(Protocol):
    """The part of `select.poll` that is used here."""

    def register(self, fd: int, events: int, /) -> None:
        """Wait for these events on the descriptor, too."""
        ...

    def unregister(self, fd: int, /) -> None:
        """Forget the descriptor."""
        ...

    def poll(self, timeout: float | None = None, /) -> list[tuple[int, int]]:
        """Wait at most that many milliseconds; returns descriptors and events (also errors and ends)."""
        ...


class _SelectPoller:
    """The same by `select`, for Windows, which has no `poll`."""

    def __init__(self) -> None:
        self._events: dict[int, int] = {}

    def register(self, fd: int, events: int, /) -> None:
        self._events[fd] = events

    def unregister(self, fd: int, /) -> None:
        del self._events[fd]

    def poll(self, timeout: float | None = None, /) -> list[tuple[int, int]]:
        reading = [fd for fd, events in self._events.items() if events & READ]
        writing = [fd for fd, events in self._events.items() if events & WRITE]
        seconds = None if timeout is None else timeout / 1000
        readable, writable, _ = select.select(reading, writing, [], seconds)
        return [*((fd, READ) for fd in readable), *((fd, WRITE) for fd in writable)]


def new_poller() -> Poller:
    """A poller with nothing registered."""
    return select.poll() if hasattr(select, "poll") else _SelectPoller()


def milliseconds(seconds: float) -> int:
    """Seconds as `poll` takes them: rounded up, never negative, within 32 bits."""
    return max(0, min(math.ceil(seconds * 1000), 2**31 - 1))
