"""Read slabs into buffers: past the page cache and into buffers that are used again, or all of them to stay.

With O_DIRECT the disk writes into our buffers and the page cache stays as it is, so that a byte budget means what it says.  Where a
file system refuses it, slabs are read as usual and the pages are given back at once.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO

import numpy as np

from tropism.errors import OptionError
from tropism_moe import store_serve
from tropism_moe.store_buffers import Buffer, Pool, anonymous
from tropism_moe.store_compiled import CompiledReaders
from tropism_moe.store_errors import PathLike, read_failed
from tropism_moe.store_format import BLOCK, Index, Slab, check_crc, forget, truncated, twice
from tropism_moe.store_readers import InterpretedReaders
from tropism_moe.store_recode import Recode
from tropism_moe.store_source import Loaded, Readers, Transform, held_bytes


class RingSource:
    """Reads slabs into buffers; safe to use from several threads.

    Args:
        file: the store, which is closed with the source.
        path: for messages.
        index: of the store.
        transform: of the bytes of a slab, or None.
        budget: bytes that slabs may take; None is no limit.
        readers: threads that will read at the same time, at most.
        past_cache: whether reads go past the page cache, or else leave what they read there.

    Raises:
        OptionError: the platform cannot read at an offset, or has no room for the buffers.

    Attributes:
        direct: whether O_DIRECT is in force.
        in_place: whether slabs stay in the buffers that they are read into.
    """

    def __init__(
        self,
        file: FileIO,
        path: PathLike,
        index: Index,
        transform: Transform | None,
        budget: int | None,
        readers: int,
        past_cache: bool,
    ) -> None:
        if not hasattr(os, "preadv"):
            raise OptionError(
                f"{os.fspath(path)}: this platform has no os.preadv; open with mode='mmap'"
            )
        self._file, self._path, self._index = file, path, index
        self._transform, self._past_cache = transform, past_cache
        self._raw, self._kept = self._pools(budget, readers)
        self.direct, self.in_place = past_cache and set_direct(file), self._raw is None

    def _pools(self, budget: int | None, readers: int) -> tuple[Pool | None, Pool | None]:
        """Buffers for what a transform reads, and for what is kept, unless a transform makes memory of its own."""
        slabs, raw, kept = self._index.slabs.values(), None, None
        if self._transform is not None and not isinstance(self._transform, Recode):
            most = max(slab.padded for slab in slabs)
            raw = Pool(most, most * (readers + 1))
        else:
            most = max(self.start(slab) + slab.padded for slab in slabs)
            whole = most * len(slabs)
            kept = Pool(most, whole if budget is None else min(whole, max(budget, most)))
        return raw, kept

    def length(self, slab: Slab) -> int:
        """Bytes that are kept of a slab in a buffer."""
        recode = self._transform
        return recode.kept(slab.length, slab.meta) if isinstance(recode, Recode) else slab.length

    def start(self, slab: Slab) -> int:
        """Where in its buffer a slab is read to: it may take more there than on disk."""
        recode = self._transform
        return recode.start(slab.length, slab.meta) if isinstance(recode, Recode) else 0

    def size(self, slab: Slab) -> int:  # noqa: ARG002  a buffer takes as much for every slab
        """Bytes of the buffer that a slab is read into."""
        pool = self._raw or self._kept
        assert pool
        return pool.size

    def readers(self, count: int) -> Readers:
        """Threads that read: compiled ones where they can do all that is to be done with a slab."""
        forgets = self._past_cache and not self.direct
        if forgets or self._kept is None or not store_serve.AVAILABLE:
            return InterpretedReaders(self.load, count)
        recode = self._transform if isinstance(self._transform, Recode) else None
        return CompiledReaders(self, self._file, self._index, recode, count, self.direct)

    def load(self, slab: Slab) -> Loaded:
        """Read a slab, check it and transform it.

        Raises:
            ChecksumError: its bytes are wrong, and were so when read again.
            StoreReadError: the operating system cannot read.
            StoreTruncatedError: the file ends before the slab does.
        """
        if self._kept is None:
            return self._transformed(slab)
        buffer = self.take(self.length(slab))
        try:
            source = self._fill(slab, buffer)
            if isinstance(self._transform, Recode):
                out = np.frombuffer(buffer.bytes, np.uint8, buffer.length)
                self._transform.into(np.frombuffer(source, np.uint8), slab.meta, out)
        except BaseException:
            self._kept.give(buffer)
            raise
        return self.kept(slab, buffer)

    def take(self, length: int) -> Buffer:
        """A buffer of which so many bytes will be kept."""
        assert self._kept
        return self._kept.take(length)

    def kept(self, slab: Slab, buffer: Buffer) -> Loaded:
        """A slab that is in a buffer now."""
        assert self._kept
        return Loaded(slab, buffer, self._kept.size)

    def in_use(self, loaded: Loaded) -> bool:
        """Whether somebody has the array of a buffer."""
        return isinstance(loaded.value, Buffer) and not loaded.value.idle

    def release(self, loaded: Loaded) -> None:
        """Let the buffer of a slab be used again."""
        if isinstance(loaded.value, Buffer) and self._kept:
            self._kept.give(loaded.value)

    def close(self) -> None:
        """Close the file; arrays that were lent stay valid."""
        self._file.close()

    def _transformed(self, slab: Slab) -> Loaded:
        """A slab of which a transform makes memory of its own."""
        assert self._transform
        with self._reading(slab) as raw:
            value = self._transform(raw.lend(), slab.meta)
        return Loaded(slab, value, held_bytes(value))

    @contextmanager
    def _reading(self, slab: Slab) -> Iterator[Buffer]:
        """A slab in a buffer that is another's afterwards."""
        assert self._raw
        raw = self._raw.take(slab.length)
        try:
            self._fill(slab, raw)
            yield raw
        finally:
            if raw.idle:  # else it is left to a transform that keeps its input
                self._raw.give(raw)

    def _fill(self, slab: Slab, buffer: Buffer) -> memoryview:
        """Read a slab, and check it; its bytes in the buffer."""
        start = self.start(slab)
        target = buffer.bytes[start : start + slab.padded]

        def attempt() -> None:
            self._read(slab, target)
            check_crc(self._path, slab, target[: slab.length])

        twice(attempt, lambda: forget(self._file, slab))
        if self._past_cache and not self.direct:
            forget(self._file, slab)
        return target[: slab.length]

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
        os.preadv(file.fileno(), [anonymous(BLOCK)], 0)
    except OSError:  # refused when asked, or only when tried
        fcntl.fcntl(file, fcntl.F_SETFL, flags)
        return False
    return True
