"""Measure evolution against the restated loop of koki2: generations and environment steps a second.

Writes ``benchmarks/results/evolution_speed.json``::

    .venv/bin/python benchmarks/bench_evolution.py

The same work for all: a population of 128 spiking networks, 8 episodes of 128 steps each, on one environment.  The
peer (``origin_evolution.py``) is one device, as koki2 is; ours also shows what two host devices make of it, and runs
with its defaults (common episodes, finalists played again) and with koki2's algorithm (own episodes, random edges).

Each number of devices is a process of its own, which waits until it is asked.  Contestants take turns, so that a
busy machine slows all alike; figures are medians of five rounds, and each ratio is the median of the ratios within a
round.  The first run, which compiles, is told apart.  Steps are those that a life may last, whether or not it does.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from evolution_work import ENV_ID, STEPS, Work
from tropism.agents.artifacts import write_atomic
from tropism.agents.manifest import manifest
from tropism.agents.progress import progress

RESULTS = Path(__file__).parent / "results" / "evolution_speed.json"
WORK = Path(__file__).parent / "evolution_work.py"
DEVICES = (1, 2)
ROUNDS = 5
POPULATIONS, EPISODES = (64, 128, 256, 512, 1024), (2, 4, 8, 16, 32)
SMALL = {"population": 8, "episodes": 2, "generations": 2}
"""Sizes that only show that everything runs."""


BASE = Work(generations=40)
PEER = Work(who="koki2", generations=10)
KINDS = {"fixed": False, "plastic": True}
SAME_WORK = {
    f"{kind}{name}": replace(work, plastic=plastic)
    for kind, plastic in KINDS.items()
    for name, work in {
        "": BASE,
        ", two devices": replace(BASE, devices=2),
        ", koki2's algorithm": replace(BASE, who="origin"),
        ", koki2's algorithm, two devices": replace(BASE, who="origin", devices=2),
        ", koki2's loop": PEER,
    }.items()
}
LARGE = {
    f"mlp, population 1024, devices {devices}": replace(
        BASE, network="mlp", population=1024, devices=devices
    )
    for devices in DEVICES
}
LONG = {
    "200 generations": replace(BASE, generations=200),
    "200 generations, two devices": replace(BASE, generations=200, devices=2),
}
SWEEPS = {"population": POPULATIONS, "episodes": EPISODES}
SWEEP = {
    f"{axis} {size}, devices {devices}": replace(
        BASE, **{axis: size}, devices=devices, generations=10
    )
    for axis, sizes in SWEEPS.items()
    for devices in DEVICES
    for size in sizes
}
PAIRS = {
    name: peer for name in SAME_WORK if (peer := f"{name.partition(',')[0]}, koki2's loop") != name
}
"""Who is compared with whom."""


class Worker:
    """A process that sees ``devices`` host devices and works when it is asked."""

    def __init__(self, devices: int) -> None:
        flags = f"--xla_force_host_platform_device_count={devices}"
        flags = f"{os.environ.get('XLA_FLAGS', '')} {flags}".strip()
        self._process = subprocess.Popen(
            [sys.executable, str(WORK)],
            env=os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu", "TROPISM_CACHE": "off"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def turn(self, work: Work) -> tuple[float, float]:
        """Seconds of the work, and of its first time, compilation included."""
        ask, answer = self._process.stdin, self._process.stdout
        assert ask is not None
        assert answer is not None
        print(json.dumps(asdict(work)), file=ask, flush=True)
        line = answer.readline()
        if not line:
            raise RuntimeError("a working process ended; what it said stands above")
        seconds, first = json.loads(line)
        return seconds, first

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()


Turns = dict[str, list[tuple[float, float]]]


def measure(works: Mapping[str, Work], rounds: int, update: Callable[[float], None]) -> Turns:
    """Every contestant once a round."""
    turns: Turns = {name: [] for name in works}
    with ExitStack() as stack:
        workers = {n: stack.enter_context(Worker(n)) for n in DEVICES}
        for done in range(rounds):
            for i, (name, work) in enumerate(works.items()):
                turns[name].append(workers[work.devices].turn(work))
                update(done * len(works) + i + 1)
    return turns


def row(work: Work, turns: list[tuple[float, float]]) -> dict[str, Any]:
    """The figures of one contestant."""
    seconds = statistics.median(s for s, _ in turns)
    return {
        **asdict(work),
        "seconds": round(seconds, 4),
        "generations_per_s": round(work.generations / seconds, 3),
        "steps_per_s": round(work.steps / seconds),
        "first_run_s": round(turns[0][1], 2),
        "rounds": [round(s, 4) for s, _ in turns],
    }


def ratio(ours: str, peer: str, works: Mapping[str, Work], turns: Turns) -> float:
    """Median over rounds of our steps a second over the peer's."""
    rates = [[works[name].steps / s for s, _ in turns[name]] for name in (ours, peer)]
    return round(statistics.median(a / b for a, b in zip(*rates, strict=True)), 2)


def exponent(axis: str, devices: int, rows: Mapping[str, dict[str, Any]]) -> float:
    """Slope of the time of a generation against ``axis``, both as logarithms."""
    found = [rows[f"{axis} {size}, devices {devices}"] for size in SWEEPS[axis]]
    times = np.log([1 / each["generations_per_s"] for each in found])
    return round(float(np.polyfit(np.log(SWEEPS[axis]), times, 1)[0]), 3)


def small(works: Mapping[str, Work]) -> dict[str, Work]:
    """The same contestants with next to nothing to do."""
    return {name: replace(work, **SMALL) for name, work in works.items()}


def main() -> None:
    """Measure, print and record."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--small", action="store_true", help="tiny sizes, nothing recorded")
    args = parser.parse_args()
    works = SAME_WORK | LARGE | LONG | SWEEP
    works = small(works) if args.small else works
    with progress(args.rounds * len(works), "evolution") as update:
        turns = measure(works, args.rounds, update)
    rows = {name: row(work, turns[name]) for name, work in works.items()}
    for name, each in rows.items():
        print(
            f"{name:42s}{each['generations_per_s']:9.2f} generations/s"
            f"{each['steps_per_s'] / 1e6:8.3f} M steps/s"
        )
    ratios = {a: ratio(a, b, works, turns) for a, b in PAIRS.items()}
    print(*(f"{name}: {times:.1f} x koki2's loop" for name, times in ratios.items()), sep="\n")
    exponents = {
        f"{axis}, devices {n}": exponent(axis, n, rows) for axis in SWEEPS for n in DEVICES
    }
    print(*(f"a generation takes {axis} ^ {power}" for axis, power in exponents.items()), sep="\n")
    if args.small:
        return
    record = {
        "command": "python benchmarks/bench_evolution.py",
        "env_id": ENV_ID,
        "steps_of_a_life": STEPS,
        "rounds": args.rounds,
        "results": rows,
        "ratio to koki2's loop": ratios,
        "exponent": exponents,
        "manifest": {k: v for k, v in manifest(seed=0).items() if k != "command"},
    }
    write_atomic(RESULTS, json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
