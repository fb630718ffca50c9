"""Train the streamed mixture of experts, stage by stage, and measure what each stage, the packed form and its confidence are worth.

::

    .venv/bin/python benchmarks/study_moe.py                      # lists the arms
    .venv/bin/python benchmarks/study_moe.py switch affine        # runs these, records benchmarks/results/moe.json
    .venv/bin/python benchmarks/study_moe.py ablations            # half of the steps

Every run has a directory under ``runs/moe/``: a study that was killed resumes there, and arms that are finished are read from their
files; runs take one core each, three seeds an arm.  ``--seeds`` and ``--steps`` make smaller trials, which are printed, not recorded.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from moe_arms import ABLATIONS, ARMS, Arm
from moe_measures import caching, confidence
from tropism.agents.artifacts import read_json, write_atomic
from tropism.agents.contract import Budget, Task
from tropism.agents.manifest import manifest
from tropism.agents.progress import progress
from tropism.agents.runs import Run
from tropism.benchmarks.metrics.score import score
from tropism.benchmarks.references import play_references
from tropism.benchmarks.statistics import interval, mean

RESULT = Path(__file__).parent / "results" / "moe.json"
HOME = Path("runs/moe")
EPISODES, ALONE = 20, 4
"""Of the test, and those that one lane plays with a small cache."""
SEEDS = 3


def run(name: str, arm: Arm, seed: int, steps: int) -> dict[str, Any]:
    """The findings of a run; from its file if it is finished."""
    home = HOME / f"{name}-{seed}-{steps}".replace(" ", "_").replace(",", "").replace(":", "")
    done = home / "findings.json"
    if done.exists() and (old := read_json(done))["settings"] == str(arm):
        return old
    found = {
        "arm": name,
        "settings": str(arm),
        "seed": seed,
        "steps": steps,
        **train_and_measure(arm, seed, home / "run", steps),
    }
    write_atomic(done, json.dumps(found, indent=1))
    return found


def train_and_measure(arm: Arm, seed: int, home: Path, steps: int) -> dict[str, Any]:
    """Everything about one run, and the seconds that it learned; None if it was resumed."""
    from tropism_moe.agent import MoEAgent
    from tropism_moe.agent_config import MoEConfig
    from tropism_moe.teachers import teach, teacher_of

    task, config = Task(arm.env_id), MoEConfig(**arm.config)
    started, resumed = time.perf_counter(), home.exists()
    with Run(home, {"arm": str(arm), "seed": seed, "steps": steps}) as opened:
        policy: Any = MoEAgent(config, seed).train(task, Budget(env_steps=steps), opened)
    seconds = None if resumed else time.perf_counter() - started
    seeds = range(task.test_seeds[0], task.test_seeds[0] + EPISODES)
    teacher = teach(teacher_of(config.teacher, task), task)
    found = {
        "seconds": seconds,
        "players": players(home, task, config, policy, seeds),
        "confidence": confidence(policy, teacher, task, seeds),
    }
    if config.lattice != (1, 1, 1) and config.pre_gated:
        found["caching"] = caching(policy, task, seeds[:ALONE])
    return found


def players(
    home: Path, task: Task, config: Any, policy: Any, seeds: Sequence[int]
) -> dict[str, dict[str, Any]]:
    """Every stage and the packed form, by name, with the score on the scale from the random player to the ideal one."""
    from tropism_moe.report import assess

    low, high = (score(play_references(task, seeds)[name]) for name in ("random", "ideal"))
    rows = [row.to_json() for row in assess(home, task, config, policy.directory, len(seeds))]
    return {
        str(row["player"]): {**row, "normalised": (row["score"] - low) / (high - low)}
        for row in rows
    }


def summary(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Means over seeds with 95 % intervals, of every number that all runs have."""
    flat = [numbers(row) for row in rows]
    names = [name for name in flat[0] if all(name in one for one in flat)]
    found = {}
    for name in names:
        values = [one[name] for one in flat]
        i = interval(values, mean) if len(values) > 1 else None
        found[name] = {"mean": float(np.mean(values)), "low": i and i.low, "high": i and i.high}
    return {**found, "seeds": len(rows)}


def numbers(row: Mapping[str, Any]) -> dict[str, float]:
    """The finite numbers of a run, by dotted names."""
    found = {"seconds": row["seconds"]}
    found |= {f"{p}.{k}": v for p, facts in row["players"].items() for k, v in facts.items()}
    found |= {f"confidence.{k}": v for k, v in row["confidence"].items()}
    for part in row.get("caching", ()):
        found |= {f"caching.{part['tolerance']:g}.{k}": v for k, v in part.items()}
    return {k: v for k, v in found.items() if isinstance(v, int | float) and np.isfinite(v)}


def show(name: str, found: Mapping[str, Any]) -> None:
    """One arm, for people."""
    told = [f"{p} {found[f'{p}.normalised']['mean']:.3f}" for p in ("teacher", "dense", "sparse", "ternary", "packed")]  # fmt: skip
    gini, ece = found["sparse.unevenness"]["mean"], found.get("confidence.ece_after")
    after = "–" if ece is None else f"{ece['mean']:.3f}"
    before = found["confidence.ece_before"]["mean"]
    print(f"{name}: {', '.join(told)}; Gini {gini:.3f}, ECE {before:.3f} to {after}")


def record(findings: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Put arms into the record, beside those that stand there."""
    old = read_json(RESULT) if RESULT.exists() else {"arms": {}, "runs": {}}
    arms = {**old["arms"], **{name: summary(rows) for name, rows in findings.items()}}
    runs = {**old["runs"], **{name: list(rows) for name, rows in findings.items()}}
    command = "python benchmarks/study_moe.py " + " ".join(f"'{n}'" for n in [*ARMS, "ablations"])
    result = {"command": command, "manifest": manifest(), "arms": arms, "runs": runs}
    write_atomic(RESULT, json.dumps(result, indent=1) + "\n")


def wanted(names: Sequence[str]) -> dict[str, Arm]:
    """The arms that are named."""
    every = {**ARMS, **{f"ablation: {name}": arm for name, arm in ABLATIONS.items()}}
    if not names:
        print("\n".join(f"{name}: {arm}" for name, arm in every.items()))
    chosen = {*names, *(n for n in every if n.startswith("ablation") and "ablations" in names)}
    return {name: arm for name, arm in every.items() if name in chosen}


def main() -> None:
    """Run the arms that are named."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("arms", nargs="*", help=f"of {', '.join(ARMS)}, or ablations")
    parser.add_argument("--seeds", type=int, help="how many, for a trial")
    parser.add_argument("--steps", type=int, help="environment steps, for a trial")
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, help="runs at once, of one core each"
    )
    options = parser.parse_args()
    chosen = wanted(options.arms)
    if not chosen:
        return
    runs = [
        (name, arm, seed, options.steps or arm.env_steps)
        for name, arm in chosen.items()
        for seed in range(options.seeds or SEEDS)
    ]
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in chosen}
    with (
        ProcessPoolExecutor(options.jobs, multiprocessing.get_context("spawn")) as pool,
        progress(len(runs), "moe") as update,
    ):
        for done, found in enumerate(pool.map(run, *zip(*runs, strict=True)), 1):
            rows[found["arm"]].append(found)
            update(done)
    for name in chosen:
        show(name, summary(rows[name]))
    if not (options.seeds or options.steps):
        record(rows)


if __name__ == "__main__":
    main()
