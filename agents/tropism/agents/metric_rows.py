"""The rows of ``metrics.jsonl``: read strictly, and mended after a kill only where a run is resumed."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from tropism.agents.artifacts import write_atomic
from tropism.errors import ArtifactError


def read_metrics(directory: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Rows of ``metrics.jsonl``; those that a resumed run logged again are given once, as logged last.

    Raises:
        tropism.errors.ArtifactError: if a line is damaged, naming it.
    """
    path = Path(directory) / "metrics.jsonl"
    rows: list[dict[str, Any]] = []
    for number, line in enumerate(path.read_bytes().splitlines() if path.exists() else (), start=1):
        row = _row(line)
        if row is None:
            raise ArtifactError(
                f"{path}: line {number} is damaged; restore the file or remove that line"
            )
        while rows and rows[-1]["_start"] < row["_start"] and rows[-1]["step"] >= row["step"]:
            rows.pop()
        rows.append(row)
    return [{name: value for name, value in row.items() if name != "_start"} for row in rows]


def cut_torn_row(path: Path) -> None:
    """Drop a last line without its line feed, which a kill in the middle of a write leaves; check the others."""
    if not path.exists():
        return
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if whole != content:
        write_atomic(path, whole)
    read_metrics(path.parent)


def finite(value: Any) -> float | int | None:
    """``value`` as a number that JSON has, else ``None``."""
    if isinstance(value, bool | int):
        return int(value)
    number = float(value)
    return number if abs(number) < float("inf") else None  # false for nan too


def _row(line: bytes) -> dict[str, Any] | None:
    """The row in ``line``, or ``None`` if it is not one."""
    try:
        row = json.loads(line)
    except ValueError:
        return None
    whole = isinstance(row, dict) and all(
        isinstance(row.get(key), int) for key in ("step", "_start")
    )
    return row if whole else None
