"""What the bridge survives, counted: runs the long tests that show it and records their figures.

Writes ``benchmarks/results/bridge_faults.json``::

    .venv/bin/python benchmarks/bridge_faults.py --record          # the long tests too, half an hour
    .venv/bin/python benchmarks/bridge_faults.py --quick           # what `make test` runs of them, a minute

Nothing is measured here: each test notes its figures by ``record_property``, whether it passes or not.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from tropism.agents.artifacts import write_atomic
from tropism.agents.manifest import manifest

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks/results/bridge_faults.json"
TESTS = {
    "agents killed": "faults/test_agent_is_gone.py::test_row_27_nothing_is_left_of",
    "games killed": "faults/test_leaks.py::test_row_41_random_kills_leave_nothing",
    "frames read while they are written": "test_shm_ring.py::test_no_frame_is_torn",
    "PPO through kills": "faults/test_training.py::test_ppo_learns_through_twenty_kills",
    "mutated streams, Python": "test_decoder_fuzz.py::test_mutated_streams_raise",
    "mutated streams, C": "test_client_c_fuzz.py::test_mutated_streams_harm_nobody",
    "mutated streams, C, many": "test_client_c_fuzz.py::test_a_hundred_thousand",
    "age of BonkLink's states": "test_legacy_client.py::test_slow_reader_is",
    "resets of the Research protocol": "test_legacy_research.py::test_original_loop_loses_none",
    "resets of its own game": "test_legacy_research.py::test_own_game_loses_none",
}
"""What is counted, and how the names of the tests begin that show it."""


def run(marks: str) -> list[ElementTree.Element]:
    """The cases of one run of pytest over all modules of :data:`TESTS`."""
    files = {f"tests/bridges/{test.partition('::')[0]}" for test in TESTS.values()}
    names = " or ".join(test.partition("::")[2] for test in TESTS.values())
    with tempfile.TemporaryDirectory() as home:
        report = Path(home, "report.xml")
        command = [sys.executable, "-m", "pytest", "-q", *sorted(files), "-k", names, "-m", marks]
        subprocess.run([*command, f"--junitxml={report}"], cwd=ROOT, check=False, stdout=sys.stderr)
        return list(ElementTree.parse(report).getroot().iter("testcase"))


def belongs(case: ElementTree.Element, test: str) -> bool:
    """Whether a case is of the tests whose names begin so."""
    file, _, name = test.partition("::")
    module = f"tests/bridges/{file}".removesuffix(".py").replace("/", ".")
    return case.get("classname") == module and case.get("name", "").startswith(name)


def outcome(case: ElementTree.Element) -> str:
    """``passed``, ``failed`` or ``skipped``."""
    kinds = {child.tag for child in case}
    return (
        "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed"
    )


def summary(cases: list[ElementTree.Element]) -> dict[str, Any]:
    """Outcomes, seconds, and every figure that was noted, in the order of the cases."""
    figures: dict[str, list[float]] = {}
    for case in cases:
        for noted in case.iter("property"):
            figures.setdefault(noted.get("name", ""), []).append(float(noted.get("value", "nan")))
    return {
        **Counter(map(outcome, cases)),
        "seconds": round(sum(float(case.get("time", 0)) for case in cases), 1),
        "figures": figures,
    }


def results(marks: str) -> dict[str, dict[str, Any]]:
    """A summary of each of :data:`TESTS` of which anything was run."""
    cases = run(marks)
    found = {what: [c for c in cases if belongs(c, test)] for what, test in TESTS.items()}
    return {what: summary(some) for what, some in found.items() if some}


def told(row: dict[str, Any]) -> str:
    """One line: outcomes, and of each figure the sum and the largest."""
    counts = ", ".join(f"{row[k]} {k}" for k in ("passed", "failed", "skipped") if k in row)
    figures = [f"{k} {sum(v):g} (largest {max(v):g})" for k, v in row["figures"].items()]
    return "; ".join([counts, *figures])


def main() -> None:
    """Run, print, record."""
    parser = argparse.ArgumentParser(description="Count what the bridge survives.")
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--quick", action="store_true", help="only the short ones of these tests")
    choice.add_argument("--record", action="store_true", help=f"write {RESULTS.name}")
    args = parser.parse_args()
    rows = results("not slow" if args.quick else "slow or not slow")
    for what, row in rows.items():
        print(f"{what:36}{told(row)}")
    if args.record:
        facts = {k: v for k, v in manifest().items() if k not in ("command", "seed")}
        record = {"command": "python benchmarks/bridge_faults.py --record", **facts}
        text = json.dumps({**record, "results": rows}, indent=1, allow_nan=False)
        write_atomic(RESULTS, text + "\n")


if __name__ == "__main__":
    main()
