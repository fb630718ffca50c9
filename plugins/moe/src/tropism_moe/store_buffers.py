"""Buffers for slabs, cut from one piece of memory and used again."""

from __future__ import annotations

import mmap
import weakref
from contextlib import suppress
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from tropism.errors import OptionError

HUGE = 1 << 21
"""Bytes of a huge page of most CPUs."""


class Memory:
    """Memory that starts at a page, at a huge one if it is as large: where huge pages do not fit, disks read half as fast.

    Args:
        size: bytes.

    Raises:
        OSError: the machine has no room for so many.

    Attributes:
        pages: all of it.
        bytes: the same, writable.
        lent: the same, read-only.
        address: of the first byte.
    """

    def __init__(self, size: int) -> None:
        self.pages = anonymous((size // HUGE + 2) * HUGE if size >= HUGE else size)
        at = np.frombuffer(self.pages, np.uint8).ctypes.data
        start = -at % HUGE if size >= HUGE else 0
        self.bytes = memoryview(self.pages)[start : start + size]
        self.lent, self.address = self.bytes.toreadonly(), at + start


class Buffer:
    """A part of some memory that knows whether an array of it is still in use.

    Args:
        memory: that it is a part of.
        start: first byte.
        size: bytes.

    Attributes:
        address: of the first byte.
        length: bytes that are in use.
    """

    __slots__ = "_array", "_memory", "_size", "_start", "address", "length"

    def __init__(self, memory: Memory, start: int, size: int) -> None:
        self._memory, self._start, self._size = memory, start, size
        self.address, self.length = memory.address + start, 0
        self._array: weakref.ref[NDArray[np.uint8]] | None = None

    @property
    def bytes(self) -> memoryview:
        """All of it, writable."""
        return self._memory.bytes[self._start : self._start + self._size]

    def lend(self) -> NDArray[np.uint8]:
        """What is in use, ``uint8[length]``, read-only; the same array as long as somebody has it."""
        array = None if self._array is None else self._array()
        if array is None:
            array = np.frombuffer(self._memory.lent, np.uint8, self.length, self._start)
            self._array = weakref.ref(array)
        return array

    @property
    def idle(self) -> bool:
        """Whether nobody has the array, nor a view of it: a view keeps its array alive."""
        return self._array is None or self._array() is None


class Pool:
    """Buffers of one size; safe to use from several threads.

    The memory has huge pages where the kernel gives them: small ones fault a hundred times a slab.

    Args:
        size: bytes of a buffer; those of whole pages start at pages.
        room: bytes of all; none are used before a buffer is filled.

    Raises:
        OptionError: the machine has no room for so many.
    """

    def __init__(self, size: int, room: int) -> None:
        try:
            self._memory, self._room = Memory(room), room
        except OSError as error:
            raise OptionError(
                f"{room} bytes of memory for slabs cannot be had ({error.strerror}); open the store with mode='mmap', or "
                "with mode='ring' and a smaller budget_bytes"
            ) from error
        self.size, self._used, self._lock = size, 0, Lock()
        self._idle = list[Buffer]()
        if hasattr(mmap, "MADV_HUGEPAGE"):
            with suppress(OSError):  # a kernel without them
                self._memory.pages.madvise(mmap.MADV_HUGEPAGE)

    def take(self, length: int) -> Buffer:
        """A buffer of which so many bytes will be in use."""
        try:
            buffer = self._idle.pop()
        except IndexError:
            buffer = self._cut()
        buffer.length = length
        return buffer

    def give(self, buffer: Buffer) -> None:
        """Keep a buffer, whose array nobody has, for the next slab."""
        self._idle.append(buffer)

    def _cut(self) -> Buffer:
        """The next one; memory of its own if none is left, because a transform kept its input, say."""
        with self._lock:
            start, self._used = self._used, self._used + self.size
        if start + self.size > self._room:
            return Buffer(Memory(self.size), 0, self.size)
        return Buffer(self._memory, start, self.size)


def anonymous(size: int) -> mmap.mmap:
    """Memory that starts at a page, private: shared memory has no huge pages."""
    return mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
