"""Run an entry of the ledger again and compare what it did, action by action."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tropism.benchmarks.cells import Cell, packages, source_of
from tropism.benchmarks.entries import KIND, decode_floats
from tropism.benchmarks.ledger import Ledger
from tropism.benchmarks.runner import load_result, run_cell
from tropism.errors import OptionError


@dataclass(frozen=True)
class Reproduction:
    """An entry, played again.

    Attributes:
        cell: What was played.
        expected: Hash of the action stream of each episode, as recorded.
        found: The same from playing again.
        changes: What differs between the recorded origin and this machine: sources, packages.
    """

    cell: Cell
    expected: tuple[str, ...]
    found: tuple[str, ...]
    changes: tuple[str, ...]

    @property
    def identical(self) -> bool:
        """Whether every action of every episode was the same."""
        return self.expected == self.found

    def lines(self) -> Iterator[str]:
        """The outcome for people, a line each."""
        yield self.cell.title
        pairs = zip(self.cell.eval_seeds, self.expected, self.found, strict=True)
        for seed, expected, found in pairs:
            verdict = "identical" if expected == found else f"DIFFERENT, now {found[:16]}"
            yield f"  seed {seed}: actions {expected[:16]} {verdict}"
        yield from (f"  changed since: {change}" for change in self.changes)
        yield "reproduced" if self.identical else "not reproduced"


def reproduce_entry(path: Path, seq: int) -> Reproduction:
    """Train and evaluate the cell of entry ``seq`` again, in a scratch directory.

    Args:
        path: The ledger file.
        seq: Sequence number of a score entry.

    Raises:
        LedgerError: If the ledger is damaged.
        OptionError: If there is no such entry, or it is not a score.
    """
    ledger = Ledger.open(path)
    if not 0 <= seq < len(ledger):
        raise OptionError(
            f"seq={seq} is out of range; {path} holds the entries 0 to {len(ledger) - 1}"
        )
    entry = ledger[seq]
    if entry["kind"] != KIND:
        raise OptionError(f"entry {seq} of {path} is of kind {entry['kind']!r}; expected {KIND!r}")
    body = entry["body"]
    cell = Cell.from_json(decode_floats(body["cell"]))
    with tempfile.TemporaryDirectory() as scratch:
        result = load_result(run_cell(cell, scratch))
    found = tuple(episode.action_hash for episode in result.episodes)
    return Reproduction(cell, tuple(body["action_hashes"]), found, tuple(_changes(body, cell)))


def _changes(body: dict, cell: Cell) -> Iterator[str]:
    """What is not as it was when the entry was made."""
    if body["source"] != source_of(cell.agent):
        yield "the sources of environments or agents"
    now = packages()
    for name, version in body["packages"].items():
        if now.get(name) != version:
            yield f"{name} {version} -> {now.get(name, 'not installed')}"
