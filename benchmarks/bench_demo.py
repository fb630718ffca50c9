"""Time ``make demo`` from an empty directory, the installation not counted, and keep its leaderboard.

Writes ``benchmarks/results/demo.json`` and ``benchmarks/results/quick.json``::

    .venv/bin/python benchmarks/bench_demo.py
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tropism.agents.artifacts import write_atomic
from tropism.agents.manifest import manifest

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
STAMP = ".venv/.demo"
"""What ``make`` builds when everything that the demo needs is installed."""


def main() -> None:
    """Install, time, record."""
    subprocess.run(["make", STAMP], cwd=ROOT, check=True)
    (ROOT / "runs").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=ROOT / "runs") as folder:
        directory = Path(folder).relative_to(ROOT)  # the record names no place of this machine
        began = time.perf_counter()
        subprocess.run(["make", "demo", f"DEMO_DIR={directory}/demo"], cwd=ROOT, check=True)
        seconds = time.perf_counter() - began
        show = [
            "-m",
            "tropism.benchmarks.cli",
            "leaderboard",
            "show",
            f"{directory}/demo",
            "--json",
        ]
        shown = subprocess.run([sys.executable, *show], cwd=ROOT, capture_output=True, check=True)
        board = shown.stdout
    record = {
        "command": "python benchmarks/bench_demo.py",
        "seconds": round(seconds, 1),
        "manifest": {k: v for k, v in manifest().items() if k != "command"},
    }
    write_atomic(RESULTS / "quick.json", board)
    write_atomic(RESULTS / "demo.json", json.dumps(record, indent=1) + "\n")
    print(f"make demo: {seconds:.0f} s")


if __name__ == "__main__":
    main()
