"""Threads that read, and the reads they are given.

An interrupt (Ctrl-C) may stop the asking thread between any two steps, even while a condition variable or a thread pool of the
standard library is half way, which then waits for ever.  Here every step of that thread is one that may be left out or done twice.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from queue import SimpleQueue
from threading import Lock, Thread

from tropism_moe.store_source import Loaded


class Job:
    """A read that a reader does, or the asking thread itself, whichever claims it first.

    Args:
        work: the read.
    """

    def __init__(self, work: Callable[[], Loaded]) -> None:
        self._work = work
        self._owner: dict[str, bool] = {}
        self._loaded: Loaded | None = None
        self._error: BaseException | None = None
        self._finished, self._busy = False, Lock()
        self._busy.acquire()

    def claim(self, reader: bool) -> bool:
        """Whether the job is left to the reader, or else to the asking thread; the answer stays the same."""
        return self._owner.setdefault("reader", reader) is reader

    def run(self) -> None:
        """Do it; for the reader that has claimed it."""
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


class Readers:
    """Threads that do jobs in the order in which they are given.

    They end when they are told to, when nobody has this object any more, or with the program.

    Args:
        count: of threads.
    """

    def __init__(self, count: int) -> None:
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        weakref.finalize(self, _end, self._jobs, count)
        self._threads = [
            Thread(target=_read, args=(self._jobs,), name=f"tropism-moe-reader-{n}", daemon=True)
            for n in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def give(self, job: Job) -> None:
        """Have a job done, unless somebody claims it before."""
        self._jobs.put(job)

    def close(self) -> None:
        """Wait until all that was given is done."""
        _end(self._jobs, len(self._threads))
        for thread in self._threads:
            thread.join()


def _read(jobs: SimpleQueue[Job | None]) -> None:
    while (job := jobs.get()) is not None:
        if job.claim(reader=True):
            job.run()
        del job  # what it brought may go before the next one comes


def _end(jobs: SimpleQueue[Job | None], count: int) -> None:
    for _ in range(count):
        jobs.put(None)
