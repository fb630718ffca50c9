"""Read slabs into buffers: past the page cache and into buffers that are used again, or all of them to stay.

With O_DIRECT the disk writes into our buffers and the page cache stays as it is, so that a byte budget means what it says.  Where a
file system refuses it, slabs are read as usual and the pages are given back at once.
"""

from __future__ import annotations

import mmap
import os
import weakref
from contextlib import suppress
from io import FileIO
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from tropism.errors import OptionError
from tropism_moe.store_errors import PathLike, read_failed
from tropism_moe.store_format import BLOCK, Slab, check_crc, forget, truncated, twice
from tropism_moe.store_source import Loaded, Transform, held_bytes


class Arena:
    """Anonymous memory from which buffers are cut, with huge pages where the kernel gives them: small ones fault a hundred times a slab.

    Args:
        size: bytes; none are used before a buffer is filled.

    Raises:
        OptionError: the machine has no room for so many.
    """

    def __init__(self, size: int) -> None:
        try:
            self._memory = _anonymous(size)
        except OSError as error:
            raise OptionError(
                f"{size} bytes of memory for slabs cannot be had ({error.strerror}); open the store with mode='mmap', or "
                "with mode='ring' and a smaller budget_bytes"
            ) from error
        self._used, self._lock = 0, Lock()
        if hasattr(mmap, "MADV_HUGEPAGE"):
            with suppress(OSError):  # a kernel without them
                self._memory.madvise(mmap.MADV_HUGEPAGE)

    def cut(self, size: int) -> Buffer:
        """The next ``size`` bytes; memory of their own if none are left, because a transform kept its input, say."""
        with self._lock:
            start, self._used = self._used, self._used + size
        if start + size > len(self._memory):
            return Buffer(_anonymous(size), 0, size)
        return Buffer(self._memory, start, size)


class Buffer:
    """A part of some memory that starts at a multiple of a block and knows whether an array of it is still in use.

    Args:
        memory: that it is a part of.
        start: first byte.
        size: bytes.

    Attributes:
        bytes: of the part, writable.
        length: bytes of the slab in it.
    """

    def __init__(self, memory: mmap.mmap, start: int, size: int) -> None:
        self.bytes, self.length = memoryview(memory)[start : start + size], 0
        self._array: weakref.ref[NDArray[np.uint8]] | None = None

    def lend(self) -> NDArray[np.uint8]:
        """The slab, ``uint8[length]``, read-only; the same array as long as somebody has it."""
        array = None if self._array is None else self._array()
        if array is None:
            array = np.frombuffer(self.bytes, np.uint8, self.length)
            array.flags.writeable = False
            self._array = weakref.ref(array)
        return array

    @property
    def idle(self) -> bool:
        """Whether nobody has the array, nor a view of it: a view keeps its array alive."""
        return self._array is None or self._array() is None


class RingSource:
    """Reads slabs into buffers; safe to use from several threads.

    Args:
        file: the store, which is closed with the source.
        path: for messages.
        transform: of the bytes of a slab, or None.
        capacity: bytes of a buffer, at least those of the longest slab, padded.
        room: bytes of all buffers.
        past_cache: whether reads go past the page cache, or else leave what they read there.

    Raises:
        OptionError: the platform cannot read at an offset.

    Attributes:
        direct: whether O_DIRECT is in force.
    """

    def __init__(
        self,
        file: FileIO,
        path: PathLike,
        transform: Transform | None,
        capacity: int,
        room: int,
        past_cache: bool,
    ) -> None:
        if not hasattr(os, "preadv"):
            raise OptionError(
                f"{os.fspath(path)}: this platform has no os.preadv; open with mode='mmap'"
            )
        self._file, self._path, self._transform = file, path, transform
        self._capacity, self._past_cache = capacity, past_cache
        self._arena, self._idle = Arena(room), list[Buffer]()
        self.direct = past_cache and set_direct(file)

    def size(self, slab: Slab) -> int:  # noqa: ARG002  a buffer takes as much for every slab
        """Bytes that a slab takes if it is not transformed."""
        return self._capacity

    def load(self, slab: Slab) -> Loaded:
        """Read a slab, check it and transform it.

        Raises:
            ChecksumError: its bytes are wrong, and were so when read again.
            StoreReadError: the operating system cannot read.
            StoreTruncatedError: the file ends before the slab does.
        """
        buffer = self._take(slab)
        try:
            self._fill(slab, buffer)
            value = buffer if self._transform is None else self._transform(buffer.lend(), slab.meta)
        except BaseException:
            self._give(buffer)
            raise
        if self._transform is None:
            return Loaded(slab, buffer, self._capacity)
        self._give(buffer)
        return Loaded(slab, value, held_bytes(value))

    def in_use(self, loaded: Loaded) -> bool:
        """Whether somebody has the array of a buffer."""
        return isinstance(loaded.value, Buffer) and not loaded.value.idle

    def release(self, loaded: Loaded) -> None:
        """Let the buffer of a slab be used again."""
        if isinstance(loaded.value, Buffer):
            self._give(loaded.value)

    def close(self) -> None:
        """Close the file; arrays that were lent stay valid."""
        self._idle.clear()
        self._file.close()

    def _take(self, slab: Slab) -> Buffer:
        """A buffer for a slab."""
        try:
            buffer = self._idle.pop()
        except IndexError:
            buffer = self._arena.cut(self._capacity)
        buffer.length = slab.length
        return buffer

    def _give(self, buffer: Buffer) -> None:
        """Keep a buffer for the next slab; one whose array somebody has is left to them."""
        if buffer.idle:
            self._idle.append(buffer)

    def _fill(self, slab: Slab, buffer: Buffer) -> None:
        target = buffer.bytes[: slab.padded]

        def attempt() -> None:
            self._read(slab, target)
            check_crc(self._path, slab, target[: slab.length])

        twice(attempt, lambda: forget(self._file, slab))
        if self._past_cache and not self.direct:
            forget(self._file, slab)

    def _read(self, slab: Slab, target: memoryview) -> None:
        done = 0
        while done < len(target):
            try:
                got = os.preadv(self._file.fileno(), [target[done:]], slab.offset + done)
            except OSError as error:
                raise read_failed(self._path, error, slab.key) from error
            if not got:
                raise truncated(self._path, slab, slab.offset + done)
            done += got


def set_direct(file: FileIO) -> bool:
    """Let reads of an open file go past the page cache; whether its file system can."""
    flag = getattr(os, "O_DIRECT", 0)
    if not flag:
        return False
    import fcntl  # not on every platform

    flags = fcntl.fcntl(file, fcntl.F_GETFL)
    try:
        fcntl.fcntl(file, fcntl.F_SETFL, flags | flag)
        os.preadv(file.fileno(), [_anonymous(BLOCK)], 0)
    except OSError:  # refused when asked, or only when tried
        fcntl.fcntl(file, fcntl.F_SETFL, flags)
        return False
    return True


def _anonymous(size: int) -> mmap.mmap:
    """Memory that starts at a page, private: shared memory has no huge pages."""
    return mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
