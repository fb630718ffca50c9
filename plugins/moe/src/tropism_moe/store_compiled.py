"""Threads that read in compiled code, and the reads they are given; what they do is in :mod:`tropism_moe.store_serve`."""

from __future__ import annotations

import os
import select
import time
import weakref
from io import FileIO
from itertools import chain
from threading import Thread
from typing import Protocol

import numpy as np

from tropism_moe import store_aio, store_serve
from tropism_moe.checksum import TABLE
from tropism_moe.store_aio import Slots
from tropism_moe.store_buffers import Buffer
from tropism_moe.store_format import Index, Slab
from tropism_moe.store_pipe import Pipe
from tropism_moe.store_readers import NAME
from tropism_moe.store_recode import Recode
from tropism_moe.store_serve import Desk, Integers
from tropism_moe.store_source import Loaded

MANY = 8
"""Slabs for each reader that are called together once all have something to do."""
MOST = getattr(select, "PIPE_BUF", 512) // store_serve.MESSAGE
"""Slabs that are called together at most: so many numbers go through a pipe as a whole."""
FEW = 4
"""Threads that check and transcode where the kernel reads, at most: one for each core but that of the one that asks."""
PATIENCE = 1000
"""Milliseconds that readers have to empty a full queue, in the end."""


class Home(Protocol):
    """Where slabs come to be."""

    def length(self, slab: Slab) -> int:
        """Bytes that are kept of one."""
        ...

    def take(self, length: int) -> Buffer:
        """A buffer of which so many bytes will be kept."""
        ...

    def kept(self, slab: Slab, buffer: Buffer) -> Loaded:
        """One that is in a buffer now."""
        ...

    def release(self, loaded: Loaded) -> None:
        """Let the buffer of one be used again."""
        ...

    def load(self, slab: Slab) -> Loaded:
        """Read one in this thread."""
        ...


class CompiledJob:
    """A read by a compiled reader.

    Args:
        readers: that do it.
        slab: to be read.
        number: of it.
    """

    __slots__ = "_buffer", "_number", "_readers", "_slab"

    def __init__(self, readers: CompiledReaders, slab: Slab, number: int) -> None:
        self._readers, self._slab, self._number = readers, slab, number
        self._buffer: Buffer | None = None

    def begin(self) -> None:
        """Have it done, unless it is taken back before."""
        readers, number = self._readers, self._number
        while readers.states[number] == store_serve.READING:  # of a read that was given up
            readers.listen(number)
        readers.buffers[number] = self._buffer = readers.home.take(readers.lengths[number])
        readers.targets[number] = self._buffer.address
        readers.states[number] = store_serve.QUEUED
        readers.call(number)

    def take_back(self) -> bool:
        """Whether it is left to the asking thread."""
        if self._readers.states[self._number] >= store_serve.READING:
            return False
        if not store_serve.take_back(self._readers.desk.states, self._number):
            return False
        self._give_up()
        return True

    def wait(self) -> Loaded | None:
        """What a reader brought; None if it failed."""
        states, number = self._readers.states, self._number
        while (state := states[number]) == store_serve.READING:
            self._readers.listen(number)
        buffer, good = self._buffer, state == store_serve.DONE
        if buffer is None or not good:
            self._give_up()
            return None
        states[number] = store_serve.IDLE
        return self._readers.home.kept(self._slab, buffer)

    def result(self) -> Loaded:
        """What a reader brought, or what is read now if it failed.

        Raises:
            BaseException: what is wrong.
        """
        return self.wait() or self._readers.home.load(self._slab)

    def _give_up(self) -> None:
        """Give the buffer back, into which nobody reads any more."""
        buffer, self._buffer = self._buffer, None
        self._readers.states[self._number] = store_serve.IDLE
        if buffer is not None:
            home = self._readers.home
            home.release(home.kept(self._slab, buffer))


class CompiledReaders:
    """Threads that read slabs in the order in which jobs are begun.

    They end when they are told to, when nobody has this object any more, or with the program.

    Args:
        home: where slabs come to be.
        file: the store.
        index: of it.
        recode: what is made of slabs; None leaves them as they are.
        count: of slabs that are read at the same time.
        past_cache: whether the file is read past the page cache, which the kernel does by itself.

    Attributes:
        home: see above.
        lengths: bytes that are kept of slabs, by number.
        desk: what is shared with the threads.
        states: of the desk, the same memory, of which single numbers are had sooner so.
        targets: the same.
        buffers: that slabs are, or were last, read into: the threads have them as long as they may be at them.
    """

    def __init__(
        self,
        home: Home,
        file: FileIO,
        index: Index,
        recode: Recode | None,
        count: int,
        past_cache: bool,
    ) -> None:
        self.home, self.desk = home, _desk(index, recode)
        self.states, self.targets = self.desk.states.data, self.desk.targets.data
        self.lengths = [home.length(slab) for slab in index.slabs.values()]
        self._queue, self._told = Pipe(), Pipe()
        os.set_blocking(
            self._queue.out, False
        )  # a reader that has something on its way waits for both
        self._few, self._many = (min(each * count, MOST) for each in (1, MANY))
        self._patience, self._called = self._few, list[int]()
        self.buffers: list[Buffer | None] = [None] * len(self.lengths)
        args, owns = (file, self._queue, self._told, self.desk, self.buffers), shares(count, past_cache)  # fmt: skip
        self._end = weakref.finalize(self, _end, self._queue, self.desk.states, len(owns))
        self._threads = [
            Thread(target=_serve, args=(*args, own), name=f"{NAME}-{n}", daemon=True)
            for n, own in enumerate(owns)
        ]
        for thread in self._threads:
            thread.start()

    def job(self, slab: Slab, number: int) -> CompiledJob:
        """A read that has not begun."""
        return CompiledJob(self, slab, number)

    def call(self, number: int) -> None:
        """Let a reader come for a slab: at once for the first of many, as soon as each has one, later for the others.

        To wake readers takes as long as to enter some jobs.
        """
        self._called.append(number)
        if len(self._called) >= self._patience:
            self._tell()
            self._patience = self._many

    def flush(self) -> None:
        """Let readers come for what was begun; what has no room in the queue is left to the asking thread."""
        if self._called:
            self._tell()
        self._patience = self._few

    def _tell(self) -> None:
        called, self._called = self._called, []
        self._queue.write(store_serve.message(*called))

    def listen(self, number: int) -> None:
        """Wait until something was read since the last time; give a slab up if its reader has stayed in another process."""
        if self._told.mine:
            os.read(self._told.out, 1 << 12)
        else:
            self.states[number] = store_serve.FAILED

    def close(self) -> None:
        """Wait until all that was begun is done."""
        self._end()
        for thread in self._threads:
            thread.join()


def shares(count: int, past_cache: bool) -> list[Slots]:
    """For each thread what it has on its way, together as many reads as ``count``."""
    threads = max(1, min(count // 2, FEW, (os.cpu_count() or 1) - 1))
    depth = count // threads if past_cache else 1
    if (first := store_aio.slots(depth)).context:
        return [first, *(store_aio.slots(depth) for _ in range(threads - 1))]
    return [first, *(store_aio.slots(1) for _ in range(count - 1))]


def _desk(index: Index, recode: Recode | None) -> Desk:
    """Of all slabs, none of which is read."""
    slabs = index.slabs.values()
    places = [_place(slab, recode) for slab in slabs]
    most = max(map(len, places))
    places = [place + [0] * (most - len(place)) for place in places]
    sizes = [
        slab.padded
        if recode is None
        else recode.size(slab.meta)
        if place[store_serve.CRC] >= 0
        else 0
        for slab, place in zip(slabs, places, strict=True)
    ]
    states, targets = np.zeros((2, len(slabs)), np.int64)
    starts = [recode.start(slab.length, slab.meta) if recode else 0 for slab in slabs]
    return Desk(np.array(places, np.int64), states, targets, np.array(starts), np.array(sizes))


def _place(slab: Slab, recode: Recode | None) -> list[int]:
    """Fields of one; a matrix that has no rows follows where others have more matrices."""
    fields = [slab.offset, slab.padded, slab.length, slab.crc32]
    if recode is None:
        return fields
    if not recode.fits(slab.length, slab.meta):
        return [*fields[:-1], store_serve.NEVER]
    return [*fields, *chain(*recode.shapes(slab.meta))]


def _serve(
    file: FileIO, queue: Pipe, told: Pipe, desk: Desk, _kept: list[Buffer | None], own: Slots
) -> None:  # fmt: skip
    """A thread; it keeps what it writes to, and the file, until it ends."""
    hand = store_serve.HAND.copy()
    try:
        while True:
            try:
                return store_serve.serve(
                    file.fileno(), queue.out, told.into, desk, TABLE, own, hand
                )
            except MemoryError:  # of what is read, whose reader would else be waited for
                desk.states[hand[store_serve.ENDING]] = store_serve.FAILED
                told.write(b"!")
    finally:
        for number in store_aio.close(own):
            desk.states[number] = store_serve.FAILED
            told.write(b"!")


def _end(queue: Pipe, states: Integers, count: int) -> None:
    """Let nobody begin with anything any more."""
    for number in np.flatnonzero(states == store_serve.QUEUED).tolist():
        store_serve.take_back(states, number)
    stop = store_serve.message(store_serve.STOP)
    for _ in range(count):
        any(queue.write(stop) or time.sleep(0.001) for _ in range(PATIENCE))
