"""A progress bar with remaining time, for anything that takes over two seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress(
    total: float, description: str, *, show: bool | None = None
) -> Iterator[Callable[[float], None]]:
    """A progress bar on stderr with remaining time; yields ``update(completed)``.

    Args:
        total: what ``completed`` counts up to.
        description: a word or two in front of the bar.
        show: force it on or off; by default it shows on a terminal only.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:3.0f}%"))
    visible = console.is_terminal if show is None else show
    with Progress(
        *columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console, disable=not visible
    ) as bar:
        job = bar.add_task(description, total=total)
        yield lambda completed: bar.update(job, completed=completed)
