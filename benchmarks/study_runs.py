"""What studies that train share: arms by name, runs that are done once and side by side, and a record that grows arm by arm."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tropism.agents.artifacts import read_json, write_atomic
from tropism.agents.manifest import manifest
from tropism.agents.progress import progress
from tropism.benchmarks.statistics import interval, mean

Findings = dict[str, Any]
Run = Callable[[str, Any, int, int], Findings]
"""Takes the name of an arm, the arm, a seed and environment steps."""
ABLATION = "ablation: "
"""Before the names of arms that are run together as ``ablations``."""


class Study(NamedTuple):
    """What differs from one study to another.

    Attributes:
        doc: for ``--help``.
        script: whose name is recorded with the findings.
        result: the record.
        arms: by name.
        ablations: run together as ``ablations``.
        seeds: of an arm, by its name.
        run: does one.
        summary: of the runs of an arm.
        show: prints it.
    """

    doc: str | None
    script: str
    result: Path
    arms: Mapping[str, Any]
    ablations: Mapping[str, Any]
    seeds: Callable[[str], int]
    run: Run
    summary: Callable[[Sequence[Findings]], Findings]
    show: Callable[[str, Findings], None]

    def main(self) -> None:
        """Run the arms that are named, show them, and record them unless it was a trial."""
        options = arguments(self.doc, self.arms)
        arms = wanted(options.arms, self.arms, self.ablations)
        if not arms:
            return
        rows = gather(self.run, arms, self.seeds, options)
        for name in arms:
            self.show(name, self.summary(rows[name]))
        if not (options.seeds or options.steps):
            names = " ".join(f"'{name}'" for name in [*self.arms, "ablations"])
            record(self.result, rows, self.summary, f"python benchmarks/{self.script} {names}")


def arguments(doc: str | None, arms: Mapping[str, Any]) -> argparse.Namespace:
    """What was asked for on the command line."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("arms", nargs="*", help=f"of {', '.join(arms)}, or ablations")
    parser.add_argument("--seeds", type=int, help="how many, for a trial")
    parser.add_argument("--steps", type=int, help="environment steps, for a trial")
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, help="runs at once, of one core each"
    )
    return parser.parse_args()


def wanted(names: Sequence[str], arms: Mapping[str, Any], ablations: Mapping[str, Any]) -> dict[str, Any]:  # fmt: skip
    """The arms that are named; all are listed where none is."""
    every = {**arms, **{f"{ABLATION}{name}": arm for name, arm in ablations.items()}}
    if not names:
        print("\n".join(f"{name}: {arm}" for name, arm in every.items()))
    chosen = {*names, *(n for n in every if n.startswith(ABLATION) and "ablations" in names)}
    return {name: arm for name, arm in every.items() if name in chosen}


def once(home: Path, facts: Findings, work: Callable[[], Findings]) -> Findings:
    """What ``work`` finds, and ``facts``; from a file in ``home`` if that was done under the same settings before."""
    done = home / "findings.json"
    if done.exists() and (old := read_json(done))["settings"] == facts["settings"]:
        return old
    found = {**facts, **work()}
    write_atomic(done, json.dumps(found, indent=1))
    return found


def place(home: Path, name: str, seed: int, steps: int) -> Path:
    """The directory of a run."""
    return home / f"{name}-{seed}-{steps}".replace(" ", "_").replace(",", "")


def gather(
    run: Run, arms: Mapping[str, Any], seeds: Callable[[str], int], options: argparse.Namespace
) -> dict[str, list[Findings]]:
    """The findings of all runs of ``arms``, by arm; as many at once as ``options.jobs``."""
    runs = [
        (name, arm, seed, options.steps or arm.env_steps)
        for name, arm in arms.items()
        for seed in range(options.seeds or seeds(name))
    ]
    rows: dict[str, list[Findings]] = {name: [] for name in arms}
    with (
        ProcessPoolExecutor(options.jobs, multiprocessing.get_context("spawn")) as pool,
        progress(len(runs), "runs") as update,
    ):
        for done, found in enumerate(pool.map(run, *zip(*runs, strict=True)), 1):
            rows[found["arm"]].append(found)
            update(done)
    return rows


def means(rows: Sequence[Mapping[str, float | None]]) -> dict[str, dict[str, float | None]]:
    """Of every number that some run has: its mean, with a 95 % interval over the runs."""
    found = {}
    for name in dict.fromkeys(name for row in rows for name in row):
        values = [value for row in rows if (value := row.get(name)) is not None]
        if not values:
            continue
        i = interval(values, mean) if len(values) > 1 else None
        found[name] = {"mean": float(np.mean(values)), "low": i and i.low, "high": i and i.high}
    return found


def record(
    result: Path,
    findings: Mapping[str, Sequence[Findings]],
    summary: Callable[[Sequence[Findings]], Findings],
    command: str,
) -> None:
    """Put arms into a record, beside those that stand there."""
    old = read_json(result) if result.exists() else {"arms": {}, "runs": {}}
    arms = {**old["arms"], **{name: summary(rows) for name, rows in findings.items()}}
    runs = {**old["runs"], **{name: list(rows) for name, rows in findings.items()}}
    told = {"command": command, "manifest": manifest(), "arms": arms, "runs": runs}
    write_atomic(result, json.dumps(told, indent=1) + "\n")
