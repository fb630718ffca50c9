"""Threads that read as the asking thread would, and the reads they are given.

An interrupt (Ctrl-C) may stop the asking thread between any two steps, even while a condition variable or a thread pool of the
standard library is half way, which then waits for ever.  Here every step of that thread is one that may be left out or done twice.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from threading import Lock, Thread

from tropism_moe.store_format import Slab
from tropism_moe.store_source import Loaded

NAME = "tropism-moe-reader"
"""Of threads that read."""
Load = Callable[[Slab], Loaded]


class InterpretedJob:
    """A read by a thread that runs Python.

    Args:
        work: the read.
        give: what gives a job to the readers.
    """

    def __init__(self, work: Callable[[], Loaded], give: Callable[[InterpretedJob], None]) -> None:
        self._work, self._give = work, give
        self._owner: dict[str, bool] = {}
        self._loaded: Loaded | None = None
        self._error: BaseException | None = None
        self._finished, self._busy = False, Lock()
        self._busy.acquire()

    def begin(self) -> None:
        """Have it done, unless it is taken back before."""
        self._give(self)

    def take_back(self) -> bool:
        """Whether it is left to the asking thread."""
        return not self._owner.setdefault("reader", False)

    def run(self) -> None:
        """Do it, unless it was taken back; for the reader."""
        if not self._owner.setdefault("reader", True):
            return
        try:
            self._loaded = self._work()
        except BaseException as error:
            self._error = error
        self._finished = True
        self._busy.release()

    def wait(self) -> Loaded | None:
        """What a reader brought; None if it failed."""
        if not self._finished:
            self._busy.acquire()
        return self._loaded

    def result(self) -> Loaded:
        """What a reader brought.

        Raises:
            BaseException: what the reader met.
        """
        loaded = self.wait()
        if loaded is None:
            assert self._error is not None
            raise self._error
        return loaded


class InterpretedReaders:
    """Threads that do jobs in the order in which they are given.

    They end when they are told to, when nobody has this object any more, or with the program.

    Args:
        load: what a job does with its slab.
        count: of threads.
    """

    def __init__(self, load: Load, count: int) -> None:
        self._load, self._jobs = load, SimpleQueue[InterpretedJob | None]()
        weakref.finalize(self, _end, self._jobs, count)
        self._threads = [
            Thread(target=_read, args=(self._jobs,), name=f"{NAME}-{n}", daemon=True)
            for n in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def job(self, slab: Slab, number: int) -> InterpretedJob:  # noqa: ARG002
        """A read that has not begun."""
        return InterpretedJob(partial(self._load, slab), self._jobs.put)

    def flush(self) -> None:
        """They have it already."""

    def close(self) -> None:
        """Wait until all that was given is done."""
        _end(self._jobs, len(self._threads))
        for thread in self._threads:
            thread.join()


def _read(jobs: SimpleQueue[InterpretedJob | None]) -> None:
    while (job := jobs.get()) is not None:
        job.run()
        del job  # what it brought may go before the next one comes


def _end(jobs: SimpleQueue[InterpretedJob | None], count: int) -> None:
    """Let nobody begin with anything any more."""
    with suppress(Empty):
        while (job := jobs.get_nowait()) is not None:
            job.take_back()
    for _ in range(count):
        jobs.put(None)
