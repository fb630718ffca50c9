"""Progress of an evolution in the terminal, and Ctrl-C that leaves something behind."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any


class Bar:
    """A bar a seed with generations, their rate, time left, best and mean fitness; only on a terminal.

    It is a :data:`tropism_evosax.evolve.Progress`, which asks to stop once :attr:`stopped` is set.

    Args:
        seeds: of the runs, in order.
        generations: of each.
    """

    def __init__(self, seeds: Sequence[int], generations: int) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        self.stopped = False
        self._seed: int | None = None
        self._best, self._clock = math.nan, (0, 0.0)
        console = Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        self._progress = Progress(
            *columns, TimeRemainingColumn(), TextColumn("{task.fields[news]}"),
            console=console, disable=not console.is_terminal,
        )  # fmt: skip
        self._tasks = {
            seed: self._progress.add_task(f"seed {seed}", total=generations, news="", start=False)
            for seed in seeds
        }
        self._progress.update(self._tasks[seeds[0]], news="compiling")

    def __call__(self, seed: int, rows: Sequence[Mapping[str, Any]]) -> bool:
        """Show what the generations ``rows`` of ``seed`` came to; true asks to stop."""
        if self.stopped and self._seed not in (None, seed):
            raise KeyboardInterrupt  # the run before was stopped, this one shall not begin
        done = rows[-1]["generation"] + 1
        if seed != self._seed:  # the first chunk may have compiled: the clock starts after it
            self._seed, self._best, self._clock = seed, math.nan, (done, time.monotonic())
            self._progress.start_task(self._tasks[seed])
        scores = [row["best_score"] for row in rows if _finite(row["best_score"])]
        self._best = scores[-1] if scores else self._best
        news = f"{self._rate(done)}best {self._best:.1f}  mean {rows[-1]['fitness_mean']:.1f}"
        self._progress.update(self._tasks[seed], completed=done, news=news)
        return self.stopped

    def _rate(self, done: int) -> str:
        first, began = self._clock
        seconds = time.monotonic() - began
        return f"{(done - first) / seconds:.1f} generations/s  " if done > first else ""

    @contextmanager
    def shown(self) -> Iterator[Bar]:
        """Show the bar; the first Ctrl-C meanwhile asks for a stop at the next checkpoint, the second stops at once."""
        before = signal.getsignal(signal.SIGINT)

        def ask(number: int, frame: FrameType | None) -> None:
            del number, frame
            self.stopped = True
            signal.signal(signal.SIGINT, before)
            self._progress.console.print(
                "Stopping after the generations under way; Ctrl-C again: at once."
            )

        mine = threading.current_thread() is threading.main_thread()
        if mine:
            signal.signal(signal.SIGINT, ask)
        try:
            with self._progress:
                yield self
        finally:
            if mine:
                signal.signal(signal.SIGINT, before)


def _finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)
