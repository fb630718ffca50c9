"""Buffers for slabs, cut from one piece of memory and used again."""

from __future__ import annotations

import mmap
import weakref
from contextlib import suppress
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from tropism.errors import OptionError


class Buffer:
    """A part of some memory that knows whether an array of it is still in use.

    Args:
        memory: that it is a part of.
        start: first byte.
        size: bytes.

    Attributes:
        bytes: of the part, writable.
        address: of the first.
        length: bytes that are in use.
    """

    def __init__(self, memory: mmap.mmap, start: int, size: int) -> None:
        self.bytes, self.length = memoryview(memory)[start : start + size], 0
        self._lent = self.bytes.toreadonly()
        self.address: int = np.frombuffer(self.bytes, np.uint8).ctypes.data
        self._array: weakref.ref[NDArray[np.uint8]] | None = None

    def lend(self) -> NDArray[np.uint8]:
        """What is in use, ``uint8[length]``, read-only; the same array as long as somebody has it."""
        array = None if self._array is None else self._array()
        if array is None:
            array = np.frombuffer(self._lent, np.uint8, self.length)
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
            self._memory = anonymous(room)
        except OSError as error:
            raise OptionError(
                f"{room} bytes of memory for slabs cannot be had ({error.strerror}); open the store with mode='mmap', or "
                "with mode='ring' and a smaller budget_bytes"
            ) from error
        self.size, self._used, self._lock = size, 0, Lock()
        self._idle = list[Buffer]()
        if hasattr(mmap, "MADV_HUGEPAGE"):
            with suppress(OSError):  # a kernel without them
                self._memory.madvise(mmap.MADV_HUGEPAGE)

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
        if start + self.size > len(self._memory):
            return Buffer(anonymous(self.size), 0, self.size)
        return Buffer(self._memory, start, self.size)


def anonymous(size: int) -> mmap.mmap:
    """Memory that starts at a page, private: shared memory has no huge pages."""
    return mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
