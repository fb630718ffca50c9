"""The leaderboard in a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tropism.benchmarks.leaderboard import Row, Section, overall, sections
from tropism.benchmarks.statistics import MIN_RUNS, Interval

if TYPE_CHECKING:
    from rich.table import Table

    from tropism.benchmarks.board import Board

WIDTH = 132
"""Columns where the output is no terminal."""


def print_board(board: Board) -> None:
    """Print one table a task, the standing across tasks, and what to be careful about."""
    from rich.console import Console

    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDTH)
    every = sections(board.results)
    for section in every:
        console.print(_table(section, wide=console.width >= WIDTH))
    for line in _standing(board):
        console.print(line)
    console.print(
        f"Interquartile means with 95 % intervals over training seeds and episodes. "
        f"{len(board.results)} of {board.total} cells.",
        style="dim",
    )
    if warning := few_runs(every):
        console.print(f"Warning: {warning}", style="yellow")


def few_runs(every: list[Section]) -> str:
    """The warning about learners with too few training seeds, or an empty string."""
    few = {row.runs for section in every for row in section.rows if row.env_steps > 0}
    if not few or min(few) >= MIN_RUNS:
        return ""
    return (
        f"{min(few)} training seeds; below {MIN_RUNS} a nominal 95 % interval covers far less, "
        "so do not read small differences between learners."
    )


def text(interval: Interval | None, digits: int = 3) -> str:
    """An estimate with its ends, to a number of significant digits."""
    if interval is None:
        return ""
    value, low, high = (number(x, digits) for x in (interval.estimate, interval.low, interval.high))
    return f"{value} [{low}, {high}]"


def number(value: float | None, digits: int = 3) -> str:
    """A number to so many digits (whole ones are never cut), without exponent; empty for ``None``."""
    if value is None:
        return ""
    whole = len(str(int(abs(value))))
    places = max(0, digits - whole)
    return f"{round(value, places) + 0.0:.{places}f}"  # adding 0.0 turns -0.0 into 0.0


def _table(section: Section, *, wide: bool) -> Table:
    """The rows of one task; a narrow terminal gets the intervals of the score and NIS only."""
    from rich.table import Table

    table = Table(title=section.task, title_justify="left", title_style="bold", box=None)
    for name in _COLUMNS:
        table.add_column(name, justify="left" if name == "agent" else "right", no_wrap=True)
    for row in section.rows:
        table.add_row(*_cells(row, wide), style="dim" if row.reference else "")
    return table


_COLUMNS = ("", "agent", "score", "NIS", "excess lag", "log-regret", "units", "µs", "beats next")


def _cells(row: Row, wide: bool) -> tuple[str, ...]:
    lag, regret = row.estimates.get("excess-lag"), row.estimates.get("log-regret")
    return (
        str(row.rank or "–"),
        row.player,
        text(row.estimates["score"]),
        text(row.estimates.get("nis")),
        text(lag) if wide else number(lag and lag.estimate),
        text(regret) if wide else number(regret and regret.estimate),
        number(row.metrics["compute"]),
        number(row.latency_us),
        number(row.over_next.estimate) if row.over_next else "",
    )


def _standing(board: Board) -> list[str]:
    """Normalised scores across the tasks on which regimes switch."""
    found = overall(board.results)
    if not found:
        return []
    lines = ["[bold]Normalised score across tasks that switch[/bold]"]
    return lines + [
        f"  {name:<18} {text(value).replace('[', chr(92) + '[')}" for name, value in found.items()
    ]
