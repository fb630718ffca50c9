"""The directory of a leaderboard run: what was asked for, which cells are finished, where the ledger lies.

::

    suite.json          the command and every cell with its key
    cells/              finished cells, two files each
    runs/<key>/         training runs, resumable
    workers.log         what the worker processes printed
    ledger/             the ledger and its published checkpoint
    report.html         written by ``tropism leaderboard report``
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tropism.agents.artifacts import read_json, write_atomic
from tropism.benchmarks.cells import Cell, cell_key
from tropism.benchmarks.runner import Result, load_result
from tropism.errors import ArtifactError

LEDGER = Path("ledger") / "ledger.jsonl"
SUITE = "suite.json"


@dataclass(frozen=True)
class Board:
    """What a directory holds.

    Attributes:
        directory: Where it lies.
        about: The suite's name, summary, command and manifest.
        results: Its finished cells, in the order of the suite.
        total: How many cells the suite has.
    """

    directory: Path
    about: dict[str, Any]
    results: tuple[Result, ...]
    total: int

    @property
    def ledger(self) -> Path:
        """The ledger file."""
        return self.directory / LEDGER


def write_suite(directory: Path, name: str, summary: str, cells: Sequence[Cell]) -> None:
    """Write down what is going to be run in ``directory``; made if need be.

    Finished cells of the same suite that were listed before stay listed, so that an agent can join a
    board later; cells that are run again take the place of their predecessors.
    """
    from tropism.agents.manifest import manifest

    directory.mkdir(parents=True, exist_ok=True)
    listed = [{"key": cell_key(cell), "cell": cell.to_json()} for cell in cells]
    about = {
        "suite": name,
        "summary": summary,
        "command": " ".join(["tropism", *sys.argv[1:]]),
        "manifest": manifest(),
        "cells": [*_kept(directory, name, listed), *listed],
    }
    write_atomic(directory / SUITE, json.dumps(about, indent=1) + "\n")


def read_board(directory: str | Path) -> Board:
    """Read a directory and the cells finished so far; those of other suites or versions are passed over.

    Raises:
        ArtifactError: If it is no leaderboard directory, or a finished cell is damaged.
    """
    directory = Path(directory)
    about = read_json(directory / SUITE)
    listed = about.pop("cells", None)
    if not isinstance(listed, list) or not all(isinstance(c, dict) and "key" in c for c in listed):
        raise ArtifactError(f"{directory / SUITE} lists no cells; run the leaderboard again")
    files = [directory / "cells" / f"{cell['key']}.json" for cell in listed]
    results = tuple(load_result(file) for file in files if file.exists())
    return Board(directory, about, results, len(listed))


def _kept(directory: Path, name: str, listed: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Finished cells of the suite ``name`` in ``directory`` that ``listed`` does not replace."""
    if not (directory / SUITE).exists():
        return []
    before = read_json(directory / SUITE)
    if before.get("suite") != name:
        return []
    places = {_place(entry["cell"]) for entry in listed}
    return [
        entry
        for entry in before.get("cells", [])
        if _place(entry["cell"]) not in places
        and (directory / "cells" / f"{entry['key']}.json").exists()
    ]


def _place(cell: dict[str, Any]) -> str:
    """What a cell is on the board: player, task and training seed."""
    return json.dumps([cell["label"], cell["task"], cell["train_seed"]], sort_keys=True)
