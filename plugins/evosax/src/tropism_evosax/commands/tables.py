"""Plain tables, aligned; and how intervals are written into JSON."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows as aligned columns; the first one is the head."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True))
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)


def interval_json(interval: Iterable[float]) -> dict[str, float | None]:
    """Mean and ends of an interval; an infinite end is ``null``."""
    names = ("mean", "low", "high")
    return {n: v if math.isfinite(v) else None for n, v in zip(names, interval, strict=True)}


def players_json(players: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Intervals of all metrics of all players."""
    return {
        name: {metric: interval_json(value) for metric, value in told.items()}
        for name, told in players.items()
    }
