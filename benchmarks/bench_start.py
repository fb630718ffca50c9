"""Measure how fast things start, each time in a fresh process: the import of the environments, the command.

Writes ``benchmarks/results/start.json``::

    .venv/bin/python benchmarks/bench_start.py

Contestants take turns, so that a busy machine slows all alike; figures are medians of five rounds, after one
that warms the disk's cache and is not counted.  Imports are timed inside the process, commands from outside,
the start of Python included.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

from tropism.agents.artifacts import write_atomic
from tropism.agents.manifest import manifest
from tropism.agents.progress import progress

RESULTS = Path(__file__).parent / "results" / "start.json"
ROUNDS = 5
GYMNASIUM, ENVS = "import gymnasium", "import tropism.envs, gymnasium already there"
IMPORTS = {GYMNASIUM: ("pass", "gymnasium"), ENVS: ("import gymnasium", "tropism.envs")}
"""What runs before, and the module whose import is timed."""
COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "tropism --help": ["-m", "tropism.benchmarks.cli", "--help"],
    "tropism plugins": ["-m", "tropism.benchmarks.cli", "plugins"],
}
HEAVY = ("jax", "torch")
"""Modules that neither an import nor a command may load."""


def python(arguments: list[str]) -> str:
    """What a fresh interpreter prints."""
    command = [sys.executable, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def import_seconds(before: str, module: str) -> float:
    """Seconds that ``import module`` takes after ``before``."""
    code = f"import time; {before}; t = time.perf_counter(); import {module}; print(time.perf_counter() - t)"
    return float(python(["-c", code]))


def command_seconds(arguments: list[str]) -> float:
    """Wall seconds of a whole command."""
    began = time.perf_counter()
    python(arguments)
    return time.perf_counter() - began


def measure_round() -> dict[str, float]:
    """Seconds of every contestant."""
    imports = {name: import_seconds(*how) for name, how in IMPORTS.items()}
    return imports | {name: command_seconds(arguments) for name, arguments in COMMANDS.items()}


def heavy_modules() -> dict[str, list[str]]:
    """Which of :data:`HEAVY` each contestant of the suite loads."""
    look = f"import sys; print(*sorted(set({HEAVY!r}) & set(sys.modules)))"
    command = "from tropism.benchmarks.cli import run; run([{!r}])"
    calls = {ENVS: "import tropism.envs"} | {
        f"tropism {word}": command.format(word) for word in ("--help", "plugins")
    }
    return {
        name: python(["-c", f"{call}; {look}"]).splitlines()[-1].split()
        for name, call in calls.items()
    }


def main() -> None:
    """Measure, print and record."""
    parser = argparse.ArgumentParser(description="Measure how fast things start.")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    count = parser.parse_args().rounds
    rounds: list[dict[str, float]] = []
    with progress(count + 1, "fresh processes") as update:
        for done in range(count + 1):
            rounds.append(measure_round())
            update(done + 1)
    del rounds[0]
    seconds = {name: statistics.median(each[name] for each in rounds) for name in rounds[0]}
    ratio = statistics.median(each[ENVS] / each[GYMNASIUM] for each in rounds)
    record = {
        "command": "python benchmarks/bench_start.py",
        "seconds": {name: round(value, 4) for name, value in seconds.items()},
        "ratio of the import to gymnasium's": round(ratio, 3),
        "loads": heavy_modules(),
        "rounds": [{name: round(value, 4) for name, value in each.items()} for each in rounds],
        "manifest": {k: v for k, v in manifest().items() if k != "command"},
    }
    write_atomic(RESULTS, json.dumps(record, indent=1) + "\n")
    for name, value in seconds.items():
        print(f"{name:46s}{value * 1e3:8.1f} ms")


if __name__ == "__main__":
    main()
