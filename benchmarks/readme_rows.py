"""Tables in READMEs of plugins that are written from records, between two marks; ``--check`` tells where they differ."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tropism.agents.artifacts import write_atomic

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks/results"


def read(name: str) -> dict[str, Any]:
    """A record, or nothing."""
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_bytes()) if path.exists() else {}


def figure(found: Mapping[str, Any] | None, digits: int = 3) -> str:
    """A mean with its interval."""
    if not found:
        return "–"
    mean, low, high = (found[key] for key in ("mean", "low", "high"))
    told = f"{mean:.{digits}f}"
    return told if low is None else f"{told} [{low:.{digits}f}, {high:.{digits}f}]"


def rows(head: Sequence[str], body: Sequence[Sequence[str]]) -> Iterator[str]:
    """A table."""
    for row in (head, ["---"] * len(head), *body):
        yield "| " + " | ".join(row) + " |"


def fill(readme: Path, results: str, script: str, name: str = "results") -> None:
    """Write ``results`` between the marks of a name in ``readme``; with ``--check`` on the command line fail if they are not there."""
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    text = readme.read_text()
    before, rest = text.split(begin)
    _, after = rest.split(end)
    new = f"{before}{begin}\n\n{results}\n\n{end}{after}"
    if "--check" not in sys.argv[1:]:
        write_atomic(readme, new)
    elif new != text:
        sys.exit(f"{readme.relative_to(ROOT)} is not what the records say: run {script}")
