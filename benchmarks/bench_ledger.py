"""Measure the ledger against a plain loop that hashes the same lines with SHA3-256.

Writes ``benchmarks/results/ledger.json``::

    .venv/bin/python benchmarks/bench_ledger.py

All contestants run in every round, one after the other; figures are medians of the rounds, and
each ratio is the median of the ratios to the plain loop of the same round. Appending includes
encoding, hash chain, Merkle tree and disk; verifying reads the file again and checks every line,
link and number.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tropism.agents.artifacts import write_atomic
from tropism.agents.manifest import manifest
from tropism.agents.progress import progress
from tropism.benchmarks.ledger import Ledger
from tropism.benchmarks.merkle import MerkleTree, verify_inclusion

RESULTS = Path(__file__).parent / "results" / "ledger.json"
ENTRIES = 20_000
SINGLE = 200
"""Entries appended one by one, an fsync each."""
LEAVES = 100_000
ROUNDS = 5


def bodies() -> list[tuple[str, dict[str, Any]]]:
    """Entries of the size of a small score."""
    return [
        (
            "score",
            {
                "agent": "ppo",
                "metrics": {"score": f"0.{i:06d}"},
                "seeds": [i, i + 1, i + 2],
                "actions": hashlib.sha3_256(str(i).encode()).hexdigest(),
            },
        )
        for i in range(ENTRIES)
    ]


def timed(count: int, work: Callable[[], Any]) -> float:
    """Items a second, for ``count`` of them."""
    began = time.perf_counter()
    work()
    return count / (time.perf_counter() - began)


def hash_all(lines: list[bytes]) -> None:
    """The plain loop."""
    for line in lines:
        hashlib.sha3_256(line).digest()


def append_batches(path: Path, items: list[tuple[str, dict[str, Any]]], size: int) -> None:
    """Append everything, ``size`` entries and one fsync a batch."""
    ledger = Ledger.open(path, create=True)
    for start in range(0, len(items), size):
        ledger.extend(items[start : start + size])


def grow(tree: MerkleTree, lines: list[bytes]) -> None:
    """Add the lines, and again until there are ``LEAVES``, then take the root."""
    for i in range(LEAVES):
        tree.append(lines[i % len(lines)])
    tree.root()


def prove_all(tree: MerkleTree) -> None:
    """Prove and verify the inclusion of every fifth leaf."""
    root, size = tree.root(), len(tree)
    for i in range(0, size, 5):
        if not verify_inclusion(tree.leaf(i), i, size, tree.inclusion_proof(i), root):
            raise AssertionError(f"the proof of leaf {i} does not verify")


def measure_round(directory: Path) -> dict[str, float]:
    """Rates of all contestants, items a second."""
    items, path, tree = bodies(), directory / "ledger.jsonl", MerkleTree()
    rates = {"append, batches of 1000": timed(ENTRIES, lambda: append_batches(path, items, 1000))}
    lines = path.read_bytes().splitlines()
    rates["plain SHA3-256 loop"] = timed(ENTRIES, lambda: hash_all(lines))
    rates["verify"] = timed(ENTRIES, lambda: Ledger.open(path))
    single = directory / "single.jsonl"
    rates["append one by one"] = timed(SINGLE, lambda: append_batches(single, items[:SINGLE], 1))
    rates["Merkle leaf, root at the end"] = timed(LEAVES, lambda: grow(tree, lines))
    rates["inclusion proof made and verified"] = timed(LEAVES // 5, lambda: prove_all(tree))
    path.unlink()
    single.unlink()
    return rates


def main() -> None:
    """Measure, print and record."""
    parser = argparse.ArgumentParser(description="Measure the speed of the ledger.")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    count = parser.parse_args().rounds
    rounds = []
    with tempfile.TemporaryDirectory() as name, progress(count, "ledger") as update:
        for done in range(count):
            rounds.append(measure_round(Path(name)))
            update(done + 1)
    table = {}
    for name in rounds[0]:
        ratios = [each[name] / each["plain SHA3-256 loop"] for each in rounds]
        rate = statistics.median(each[name] for each in rounds)
        table[name] = {"per_s": round(rate), "ratio": round(statistics.median(ratios), 4)}
        print(f"{name:36s}{rate:12,.0f} /s {table[name]['ratio']:8.4f} x the plain loop")
    record = {
        "command": "python benchmarks/bench_ledger.py",
        "entries": ENTRIES,
        "leaves": LEAVES,
        "results": table,
        "rounds": [{name: round(rate) for name, rate in each.items()} for each in rounds],
        "manifest": {k: v for k, v in manifest().items() if k != "command"},
    }
    write_atomic(RESULTS, json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
