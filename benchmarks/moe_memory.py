"""Measure the associative memory of ``tropism-moe``: what it holds, and what a query costs.

Prints two tables; ``--record`` writes them to ``benchmarks/results/moe_memory.json``::

    .venv/bin/python benchmarks/moe_memory.py --record

Capacity is the share of values that come back: of one bundle among all values of the codebook, and of 10,000 pairs over banks by
keys some of whose bits are flipped.  Costs are microseconds of one thread, medians of single calls.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tropism.agents.artifacts import write_atomic
from tropism.agents.manifest import manifest
from tropism.agents.progress import progress

RESULTS = Path(__file__).parent / "results" / "moe_memory.json"
PAIRS = (10, 25, 50, 100, 200, 400, 800)
CANDIDATES = (1_000, 10_000)
NOISE = (0.0, 0.05, 0.1, 0.15, 0.2)
STORED, TRIALS, CALLS = 10_000, 3, 300


def bundle_curves() -> dict[str, dict[str, float]]:
    """Share of values a bundle gives back, by candidates and by pairs."""
    from tropism_moe.associative_capacity import bundle_capacity

    return {
        f"{n} candidates": {str(k): round(bundle_capacity(k, n, trials=TRIALS), 4) for k in PAIRS}
        for n in CANDIDATES
    }


def noise_curve(update: Callable[[int], Any]) -> dict[str, float]:
    """Share of 10,000 pairs over banks that come back, by noise."""
    from tropism_moe.associative_capacity import memory_capacity

    curve = {}
    for noise in NOISE:
        curve[str(noise)] = round(memory_capacity(STORED, noise), 4)
        update(len(curve))
    return curve


def costs() -> dict[str, float]:
    """Microseconds of each operation, on a memory of 10,000 pairs of 1,000 values."""
    from tropism_moe.associative_memory import AssociativeMemory
    from tropism_moe.hypervectors import Encoder, distances, draw

    codebook, keys = draw(1_000, 0), draw(STORED, 1)
    memory, encoder = AssociativeMemory(codebook), Encoder(256)
    memory.store(keys, np.arange(STORED) % len(codebook))
    x = np.random.default_rng(0).standard_normal((1, 256))
    work = {
        "25 candidates": lambda: distances(keys[:1], codebook[:25]),
        "1,000 candidates": lambda: distances(keys[:1], codebook),
        "encode 256 numbers": lambda: encoder.encode(x),
        "recall": lambda: memory.recall(keys[:1]),
        "store": lambda: memory.store(keys[:1], [0]),
    }
    return {name: round(median(call), 1) for name, call in work.items()}


def median(call: Callable[[], Any]) -> float:
    """Microseconds of a call, the first of which only warms up."""
    call()
    spent = []
    for _ in range(CALLS):
        began = time.perf_counter()
        call()
        spent.append(1e6 * (time.perf_counter() - began))
    return statistics.median(spent)


def main() -> None:
    """Measure, print and, if asked to, record."""
    parser = argparse.ArgumentParser(description="Measure the associative memory.")
    parser.add_argument("--record", action="store_true", help=f"write {RESULTS.name}")
    record = parser.parse_args().record
    timing, bundles = costs(), bundle_curves()
    with progress(len(NOISE), "noise") as update:
        noisy = noise_curve(update)
    for title, curve in bundles.items():
        print(f"one bundle, {title:18s}", *(f"{k}:{share:7.1%} " for k, share in curve.items()))
    print(
        f"{STORED} pairs over banks, noise", *(f"{p}:{share:7.1%} " for p, share in noisy.items())
    )
    for name, spent in timing.items():
        print(f"{name:20s}{spent:10.1f} us")
    if record:
        table = {
            "command": "python benchmarks/moe_memory.py --record",
            "bundle": bundles,
            "noise": noisy,
            "pairs": STORED,
            "microseconds": timing,
            "manifest": {k: v for k, v in manifest(seed=0).items() if k != "command"},
        }
        write_atomic(RESULTS, json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
