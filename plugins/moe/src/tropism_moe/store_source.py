"""What brings slabs from a file: the face that all residency modes share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from tropism_moe.store_format import Slab

Transform = Callable[[NDArray[np.uint8], dict[str, Any]], Any]
"""``transform(data, meta)``: what is kept of a slab, an object with ``nbytes`` or a tuple of such; called by several threads."""


class Loaded(NamedTuple):
    """A slab in memory.

    Attributes:
        slab: where it is from.
        value: its bytes, or what a transform made of them, or a buffer that lends them.
        nbytes: that the value takes.
    """

    slab: Slab
    value: Any
    nbytes: int


class Job(Protocol):
    """A read that a reader does, or the asking thread itself, whichever comes first.

    An interrupt (Ctrl-C) may stop the asking thread between any two steps: each of its steps may be left out or done twice.
    """

    def begin(self) -> None:
        """Let a reader do it, at the latest when all jobs are flushed."""
        ...

    def take_back(self) -> bool:
        """Whether it is left to the asking thread; then no reader will do it."""
        ...

    def wait(self) -> Loaded | None:
        """What a reader brought; None if it failed."""
        ...

    def result(self) -> Loaded:
        """What a reader brought.

        Raises:
            BaseException: what the reader met.
        """
        ...


class Readers(Protocol):
    """Threads that read; they end when they are told to, when nobody has this object any more, or with the program."""

    def job(self, slab: Slab, number: int) -> Job:
        """A read that has not begun; ``number`` of the slab in the order of the file, from 0."""
        ...

    def flush(self) -> None:
        """Let readers have what was begun."""
        ...

    def close(self) -> None:
        """Wait until all that was begun is done."""
        ...


class Source(Protocol):
    """What brings slabs from the file.

    Attributes:
        direct: whether it reads past the page cache (O_DIRECT).
        in_place: whether slabs stay where they are read to, and take as much as :meth:`size` says.
    """

    direct: bool
    in_place: bool

    def size(self, slab: Slab) -> int:
        """Bytes that a slab takes if it is not transformed."""
        ...

    def load(self, slab: Slab) -> Loaded:
        """Read, check and transform a slab; called by several threads."""
        ...

    def readers(self, count: int) -> Readers:
        """So many threads that do the same."""
        ...

    def in_use(self, loaded: Loaded) -> bool:
        """Whether somebody has an array whose memory :meth:`release` would give away."""
        ...

    def release(self, loaded: Loaded) -> None:
        """Give away what a slab takes."""
        ...

    def close(self) -> None:
        """Close the file."""
        ...


def held_bytes(value: Any) -> int:
    """Bytes of what a transform made."""
    if isinstance(value, tuple):
        return sum(held_bytes(part) for part in value)
    return int(value.nbytes)
