"""Slabs as views of the mapped file: the page cache holds them, and the kernel gives them up when it needs the memory.

Random-access advice (MADV_RANDOM) would turn read-ahead off and cost a factor of twenty (seed 002, measured); MADV_WILLNEED of
a slab reads all of it at once.
"""

from __future__ import annotations

import mmap
import os
from contextlib import suppress
from io import FileIO

import numpy as np

from tropism_moe.store_errors import PathLike
from tropism_moe.store_format import Slab, check_crc, forget, truncated, twice
from tropism_moe.store_readers import InterpretedReaders
from tropism_moe.store_source import Loaded, Readers, Transform, held_bytes


class MappedSource:
    """Lends views of the mapped file; safe to use from several threads.

    Args:
        file: the store, which is closed with the source.
        path: for messages.
        transform: of the bytes of a slab, or None.

    Attributes:
        direct: False, the page cache is the point.
        in_place: whether slabs are not transformed.
    """

    direct = False

    def __init__(self, file: FileIO, path: PathLike, transform: Transform | None) -> None:
        self._file, self._path, self._transform = file, path, transform
        self.in_place = transform is None
        self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._checked: set[tuple[int, int]] = set()

    def size(self, slab: Slab) -> int:
        """Bytes of the mapping that a slab takes."""
        return slab.padded

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
        value = self._transform(view, slab.meta)
        self._advise("MADV_DONTNEED", slab)
        return Loaded(slab, value, held_bytes(value))

    def readers(self, count: int) -> Readers:
        """Threads that do the same: to have a slab mapped takes hardly any Python."""
        return InterpretedReaders(self.load, count)

    def in_use(self, loaded: Loaded) -> bool:  # noqa: ARG002
        """Never: a view that somebody still has reads its pages again."""
        return False

    def release(self, loaded: Loaded) -> None:
        """Give up the pages of a slab."""
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
