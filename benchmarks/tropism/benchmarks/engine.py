"""Run cells in parallel processes: resumable, one thread each, no failure stops the others.

Processes are spawned, never forked (JAX and threads do not survive a fork), and told to use one thread
before they import anything: on few cores the thread pools of BLAS and PyTorch fight over the same cores.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

from tropism.benchmarks.cells import Cell
from tropism.errors import OptionError, TropismError, UnsupportedTaskError

ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "VECLIB_MAXIMUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false",
}
"""Environment of a worker; read once, when the libraries are imported."""
LOG = "workers.log"
"""What workers print, beside the results: bars of several processes would overwrite each other."""


@dataclass(frozen=True)
class Outcome:
    """What became of a cell.

    Attributes:
        cell: What was to be run.
        state: ``done``, ``skipped`` (the agent does not play the task) or ``failed``.
        detail: Why it was skipped or failed; the traceback, if the error was not one raised on purpose.
    """

    cell: Cell
    state: str
    detail: str = ""


def shard(cells: Sequence[Cell], which: str) -> list[Cell]:
    """The cells whose number is i modulo n, for ``which`` = ``"i/n"`` with 0 <= i <= n.

    Count shards from 0 (0/2, 1/2) or from 1 (1/2, 2/2): either way every cell is in exactly one.

    Raises:
        OptionError: If ``which`` is malformed.
    """
    first, _, count = which.partition("/")
    if not (first.isdigit() and count.isdigit() and int(first) <= int(count) and int(count) >= 1):
        raise OptionError(f"shard={which!r} must be i/n with 0 <= i <= n, for example 0/4")
    return list(cells[int(first) % int(count) :: int(count)])


def run_cells(
    cells: Sequence[Cell],
    out_dir: str | Path,
    *,
    workers: int | None = None,
    report: Callable[[Outcome], None] = lambda _: None,
) -> list[Outcome]:
    """Run every cell that is not finished yet, in parallel.

    A worker that dies (killed for memory, say) fails the cells in flight; the rest go on in new
    processes.  On Ctrl-C the workers are ended, finished cells stay, and ``KeyboardInterrupt`` goes on.

    Args:
        cells: What to run, in this order.
        out_dir: Where :func:`tropism.benchmarks.runner.run_cell` writes.
        workers: Processes; by default one a core.
        report: Called with each outcome as it comes.

    Returns:
        One outcome a cell, in the order they came.

    Raises:
        OptionError: If ``workers`` is below 1.
    """
    workers = workers if workers is not None else os.cpu_count() or 1
    if workers < 1:
        raise OptionError(f"workers must be >= 1, got {workers}")
    outcomes: list[Outcome] = []
    waiting = deque(cells)
    while waiting:
        for outcome in _pool(waiting, str(out_dir), min(workers, len(waiting))):
            outcomes.append(outcome)
            report(outcome)
    return outcomes


def _pool(waiting: deque[Cell], out_dir: str, workers: int) -> Iterator[Outcome]:
    """Outcomes of one pool of processes; ends when nothing waits or the pool broke."""
    flying: dict[Future[Outcome], Cell] = {}
    with _one_thread(), _executor(workers, Path(out_dir) / LOG) as executor:
        while waiting or flying:
            while waiting and len(flying) < workers:
                cell = waiting.popleft()
                flying[executor.submit(attempt, cell, out_dir)] = cell
            finished, _ = wait(flying, return_when=FIRST_COMPLETED)
            broken = [f for f in finished if isinstance(f.exception(), BrokenProcessPool)]
            for future in finished - set(broken):
                del flying[future]
                yield future.result()
            if broken:
                died = f"the worker process died (killed for memory?); see {Path(out_dir) / LOG}"
                yield from (Outcome(cell, "failed", died) for cell in flying.values())
                return


def attempt(cell: Cell, out_dir: str) -> Outcome:
    """Run one cell in this process, and tell instead of raising."""
    from tropism.benchmarks.runner import run_cell

    try:
        run_cell(cell, out_dir)
    except UnsupportedTaskError as reason:
        return Outcome(cell, "skipped", str(reason))
    except TropismError as error:
        return Outcome(cell, "failed", f"{type(error).__name__}: {error}")
    except Exception:
        return Outcome(cell, "failed", traceback.format_exc())
    return Outcome(cell, "done")


@contextlib.contextmanager
def _executor(workers: int, log: Path) -> Iterator[ProcessPoolExecutor]:
    """A pool of spawned processes that are ended, not waited for, if the caller is interrupted."""
    log.parent.mkdir(parents=True, exist_ok=True)
    before = set(multiprocessing.active_children())
    context = multiprocessing.get_context("spawn")
    executor = ProcessPoolExecutor(workers, context, initializer=_settle, initargs=(str(log),))
    try:
        yield executor
    except BaseException:
        executor.shutdown(wait=False, cancel_futures=True)
        for child in set(multiprocessing.active_children()) - before:
            child.terminate()
            child.join()
        raise
    executor.shutdown()


def _settle(log: str) -> None:
    """Prepare a worker: it prints into the log, leaves Ctrl-C to the parent, and does not outlive it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(file, sys.stdout.fileno())
    os.dup2(file, sys.stderr.fileno())
    threading.Thread(target=_follow_parent, daemon=True).start()


def _follow_parent() -> None:
    """End this process when its parent is gone: it would hold the locks that a resumed run needs."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Set :data:`ONE_THREAD` for the processes started inside, except what the user has set."""
    added = {name: value for name, value in ONE_THREAD.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]
