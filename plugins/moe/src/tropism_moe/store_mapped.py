"""Slabs as views of the mapped file: the page cache holds them, and the kernel gives them up when it needs the memory.

Random-access advice (MADV_RANDOM) would turn read-ahead off and cost a factor of twenty (seed 002, measured); MADV_WILLNEED of
a slab reads all of it at once.
"""

from __future__ import annotations

import mmap
import os
from contextlib import suppress
from io import FileIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tropism_moe.store_buffers import Buffer, Pool
from tropism_moe.store_errors import PathLike
from tropism_moe.store_format import Index, Slab, check_crc, forget, truncated, twice
from tropism_moe.store_readers import InterpretedReaders
from tropism_moe.store_recode import Recode
from tropism_moe.store_source import Loaded, Readers, Transform, held_bytes


class MappedSource:
    """Lends views of the mapped file; safe to use from several threads.

    Args:
        file: the store, which is closed with the source.
        path: for messages.
        index: of the store.
        transform: of the bytes of a slab, or None.
        budget: bytes that slabs may take; None is no limit.

    Attributes:
        direct: False, the page cache is the point.
        in_place: whether slabs stay in the mapping, or in buffers of one size.
    """

    direct = False

    def __init__(
        self, file: FileIO, path: PathLike, index: Index, transform: Transform | None, budget: int | None
    ) -> None:  # fmt: skip
        self._file, self._path, self._transform = file, path, transform
        self._pool: Pool | None = None
        if isinstance(transform, Recode) and budget is not None:
            most = max(transform.kept(slab.length, slab.meta) for slab in index.slabs.values())
            self._pool = Pool(most, min(most * len(index.slabs), max(budget, most)))
        self.in_place = transform is None or self._pool is not None
        self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._checked: set[tuple[int, int]] = set()

    def size(self, slab: Slab) -> int:
        """Bytes of the mapping that a slab takes, or of the buffer for what it becomes."""
        return self._pool.size if self._pool else slab.padded

    def load(self, slab: Slab) -> Loaded:
        """Have a slab read, check it the first time, and transform it.

        Raises:
            ChecksumError: its bytes are wrong, and were so when read again.
            StoreTruncatedError: the file has become too short.
        """
        size = os.fstat(self._file.fileno()).st_size
        if size < slab.offset + slab.length:  # to touch what is not there would kill the process
            raise truncated(self._path, slab, size)
        self._advise("MADV_WILLNEED", slab)
        view = np.frombuffer(self._map, np.uint8, slab.length, slab.offset)
        if slab.key not in self._checked:
            twice(lambda: check_crc(self._path, slab, view), lambda: self._forget(slab))
            self._checked.add(slab.key)
        if self._transform is None:
            return Loaded(slab, view, slab.padded)
        value = self._transformed(slab, view)
        self._advise("MADV_DONTNEED", slab)
        nbytes = self._pool.size if self._pool else held_bytes(value)
        return Loaded(slab, value, nbytes)

    def _transformed(self, slab: Slab, view: NDArray[np.uint8]) -> Any:
        """What becomes of a slab, in a buffer if there are any."""
        recode = self._transform
        assert recode
        if self._pool is None or not isinstance(recode, Recode):
            return recode(view, slab.meta)
        buffer = self._pool.take(recode.kept(slab.length, slab.meta))
        try:
            recode.into(view, slab.meta, np.frombuffer(buffer.bytes, np.uint8, buffer.length))
        except BaseException:
            self._pool.give(buffer)
            raise
        return buffer

    def readers(self, count: int) -> Readers:
        """Threads that do the same: to have a slab mapped takes hardly any Python."""
        return InterpretedReaders(self.load, count)

    def in_use(self, loaded: Loaded) -> bool:
        """Whether somebody has the array of a buffer; a view of the mapping reads its pages again."""
        return isinstance(loaded.value, Buffer) and not loaded.value.idle

    def release(self, loaded: Loaded) -> None:
        """Give up the pages of a slab, or its buffer."""
        if self._pool and isinstance(loaded.value, Buffer):
            self._pool.give(loaded.value)
        else:
            self._advise("MADV_DONTNEED", loaded.slab)

    def close(self) -> None:
        """Close the file; views that were lent stay valid and keep the mapping."""
        with suppress(BufferError):  # of a view
            self._map.close()
        self._file.close()

    def _advise(self, advice: str, slab: Slab) -> None:
        """Tell the kernel about the pages of a slab, where the platform has the word for it."""
        if hasattr(mmap, advice):
            start = slab.offset // mmap.PAGESIZE * mmap.PAGESIZE
            self._map.madvise(getattr(mmap, advice), start, slab.offset + slab.length - start)

    def _forget(self, slab: Slab) -> None:
        """Have the next look come from the disk."""
        self._advise("MADV_DONTNEED", slab)
        forget(self._file, slab)
