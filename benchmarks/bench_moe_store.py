"""Measure how fast a store of experts is read, and in how much memory: each mode against the bare disk, alone and under computing.

Writes ``benchmarks/results/moe_store.json`` where asked to::

    .venv/bin/python benchmarks/bench_moe_store.py --record

A store of random bytes is written beside the repository and read slab by slab in a random order that was announced at the start, cold:
its pages are dropped from the page cache before each round (what a virtual disk's host keeps is out of reach).  The probe reads the
same slabs in the same order with O_DIRECT, as many at a time, into memory of the same kind, and does nothing with them.  Computing is a loop that takes a given time a
slab, without the lock of the interpreter.  Clocks start when store and probe are open, that of ``resident``, which reads all on opening,
before.  Walls are medians of rounds; ratios are medians of the ratios within a round, whose parts see the same noise.  Memory is the growth of VmRSS and RssAnon (``/proc/self/status``) over what a fresh process has after its imports.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from tropism.agents.artifacts import write_atomic
from tropism.agents.manifest import manifest
from tropism.agents.progress import progress
from tropism_moe.bench import MEGABYTE, chill, memory
from tropism_moe.expert_store import READERS as BY_MODE
from tropism_moe.expert_store import ExpertStore
from tropism_moe.store_buffers import Pool
from tropism_moe.store_format import Slab
from tropism_moe.store_writer import StoreWriter

RESULTS = Path(__file__).parent / "results" / "moe_store.json"
SLAB = 3 * 512 * 1536 // 4
"""Bytes of a ternary expert of width 512 and 1536 hidden units at 2 bits a weight."""
READERS = BY_MODE["ring"]
EXPERTS = 128
MEMORY = 128 * MEGABYTE
"""Bytes that the probe reads into, in turns: as much as the ring has, since less would stay in the cache of the processor."""
MODES = ("mmap", "resident", "ring")
Key = tuple[int, int]


def write_store(path: Path, slabs: int) -> list[Key]:
    """A store of random bytes, and its slabs in a random order."""
    rng = np.random.default_rng(0)
    keys = [divmod(i, EXPERTS) for i in range(slabs)]
    with StoreWriter(path, {"purpose": "benchmark"}) as writer:
        for layer, expert in keys:
            writer.add(layer, expert, rng.bytes(SLAB))
    return [keys[i] for i in rng.permutation(slabs)]


def probe(path: Path, *orders: list[Key]) -> float:
    """Seconds to read slabs with O_DIRECT into huge pages, as many at a time as the store; each order to its end before the next.

    Into small pages this machine's disk reads less than half as fast.
    """
    with ExpertStore.open(path) as store:
        places = [[store.slabs[key] for key in order] for order in orders]
        most = max(slab.padded for slab in store.slabs.values())
    file, pool = os.open(path, os.O_RDONLY | os.O_DIRECT), Pool(most, MEMORY)
    buffers = [pool.take(most).bytes for _ in range(MEMORY // most)]
    for buffer in buffers:
        buffer[:] = bytes(most)  # as those of a store that has read before
    turns = [cycle(buffers[n::READERS]) for n in range(READERS)]

    def read(some: Iterator[Slab], turn: Iterator[memoryview]) -> None:
        for slab, buffer in zip(some, turn, strict=False):
            assert os.preadv(file, [buffer[: slab.padded]], slab.offset) == slab.padded

    with ThreadPoolExecutor(READERS) as threads:
        began = perf_counter()
        for some in map(iter, places):
            for job in [threads.submit(read, some, turn) for turn in turns]:
                job.result()
        wall = perf_counter() - began
    os.close(file)
    return wall


def compute(seconds: float, scratch: bytes = bytes(1 << 18)) -> None:
    """Keep a core busy, without the lock of the interpreter."""
    end = perf_counter() + seconds
    while perf_counter() < end:
        zlib.crc32(scratch)


def stream(
    path: Path, mode: Any, order: list[Key], seconds: float, budget: int
) -> dict[str, float]:
    """Walls of opening a store, and of going through all slabs with ``seconds`` of computing on each."""
    opened = perf_counter()
    with ExpertStore.open(path, mode, None if mode == "resident" else budget) as store:
        began = perf_counter()
        store.prefetch(order)
        for key in order:
            store.get(*key)
            before = perf_counter()
            compute(seconds)
            store.stats.compute_s += perf_counter() - before
        wall = perf_counter() - (opened if mode == "resident" else began)
    stats = store.stats
    return {
        "wall": wall,
        "open": began - opened,
        "stall": stats.stall_s,
        "compute": stats.compute_s,
    }


def one_round(path: Path, order: list[Key], loads: list[float], budget: int) -> dict[str, float]:
    """Seconds of the probe and of every mode under every load (seconds of computing a slab), cold."""
    found = {"probe": probe(path, order)}
    for mode in MODES:
        for load in [0.0, *loads]:
            chill(path)
            parts = stream(path, mode, order, load, budget)
            found |= {f"{mode} {1e3 * load:g} {part}": value for part, value in parts.items()}
    return found


def summary(rounds: list[dict[str, float]], loads: list[float], nbytes: int) -> dict[str, Any]:
    """A row for each mode and load: median wall, and what the targets are about."""

    def median(of: Any) -> float:
        return round(statistics.median(of(row) for row in rounds), 3)

    rows: dict[str, Any] = {"O_DIRECT probe": {"GB/s": median(lambda r: nbytes / r["probe"] / 1e9)}}
    for mode in MODES:
        for load in [0.0, *loads]:
            name = f"{mode} {1e3 * load:g}"
            row = {
                "GB/s": median(lambda r, n=name: nbytes / r[f"{n} wall"] / 1e9),
                "wall_s": median(lambda r, n=name: r[f"{n} wall"]),
                "open_s": median(lambda r, n=name: r[f"{n} open"]),
                "stall_s": median(lambda r, n=name: r[f"{n} stall"]),
                "read_of_probe": median(lambda r, n=name: r["probe"] / r[f"{n} wall"]),
                "wall_of_longer": median(lambda r, n=name: r[f"{n} wall"] / max(r["probe"], r[f"{n} compute"])),
            }  # fmt: skip
            del row["wall_of_longer" if not load else "read_of_probe"]
            rows[f"{mode}, {1e3 * load:g} ms of computing a slab"] = row
    return rows


def growth(path: Path, mode: Any, budget: int) -> dict[str, float]:
    """By how much the memory of this process grows, at most, while all slabs are read twice in random orders."""
    with ExpertStore.open(path) as store:
        keys = list(store.slabs)
    rng, before, most = np.random.default_rng(1), memory(), memory()
    with ExpertStore.open(path, mode, budget) as store:
        for _ in range(2):
            order = [keys[i] for i in rng.permutation(len(keys))]
            store.prefetch(order)
            for key in order:
                store.get(*key)
                most = {name: max(value, most[name]) for name, value in memory().items()}
    return {name: round((most[name] - before[name]) / MEGABYTE, 1) for name in before}


def in_fresh_process(path: Path, mode: str, budget: int) -> dict[str, float]:
    """What :func:`growth` finds there."""
    command = [
        sys.executable,
        __file__,
        "--growth",
        mode,
        "--store",
        str(path),
        "--budget",
        str(budget),
    ]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)


def measure(options: argparse.Namespace, loads: list[float]) -> dict[str, Any]:
    """All of it, in a temporary directory that is removed again."""
    slabs, rounds, budget = options.bytes // SLAB, options.rounds, options.budget
    with (
        tempfile.TemporaryDirectory(dir=options.directory) as work,
        progress(rounds, "reading") as update,
    ):
        path = Path(work) / "bench.moe"
        began = perf_counter()
        order = write_store(path, slabs)
        written, found = perf_counter() - began, []
        for done in range(rounds):
            found.append(one_round(path, order, loads, budget))
            update(done + 1)
        return {
            "writing": {"GB/s": round(slabs * SLAB / written / 1e9, 3)},
            **summary(found, loads, slabs * SLAB),
            **{
                f"{mode}, growth in MB": in_fresh_process(path, mode, budget)
                for mode in ("mmap", "ring")
            },
        }


def main() -> None:
    """Measure, print and, where asked to, record."""
    beside = Path(__file__).resolve().parents[1].parent
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--bytes", type=int, default=600 * MEGABYTE, help="of the store")
    parser.add_argument("--budget", type=int, default=128 * MEGABYTE, help="bytes in memory")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--compute-ms", type=float, nargs="+", default=[0.3, 1.0], help="a slab")
    parser.add_argument("--directory", type=Path, default=beside, help="where the store goes")
    parser.add_argument("--record", action="store_true", help=f"write {RESULTS.name}")
    parser.add_argument("--growth", choices=MODES, help=argparse.SUPPRESS)
    parser.add_argument("--store", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.growth:
        print(json.dumps(growth(options.store, options.growth, options.budget)))
        return
    loads = [ms / 1e3 for ms in options.compute_ms]
    found = measure(options, loads)
    for name, row in found.items():
        print(f"{name:40}" + "".join(f"{key} {value:<9g}" for key, value in row.items()))
    if options.record:
        work = {
            "store_bytes": options.bytes,
            "budget_bytes": options.budget,
            "slab_bytes": SLAB,
            "readers": READERS,
            "rounds": options.rounds,
        }
        results = {
            "command": "python benchmarks/bench_moe_store.py --record",
            "work": work,
            "results": found,
            "manifest": {k: v for k, v in manifest(seed=0).items() if k != "command"},
        }
        write_atomic(RESULTS, json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
