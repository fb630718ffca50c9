"""Train the streamed mixture of experts, stage by stage, and measure what each stage, the packed form and its confidence are worth.

::

    .venv/bin/python benchmarks/study_moe.py                      # lists the arms
    .venv/bin/python benchmarks/study_moe.py switch affine        # runs these, records benchmarks/results/moe.json
    .venv/bin/python benchmarks/study_moe.py ablations            # half of the steps

Every run has a directory under ``runs/moe/``: a study that was killed resumes there, and arms that are finished are read from their
files; runs take one core each, three seeds an arm.  ``--seeds`` and ``--steps`` make smaller trials, which are printed, not recorded.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from moe_arms import ABLATIONS, ARMS, Arm
from moe_measures import caching, confidence
from study_runs import arguments, gather, means, once, place, record, wanted
from tropism.agents.contract import Budget, Task
from tropism.agents.runs import Run
from tropism.benchmarks.metrics.score import score
from tropism.benchmarks.references import play_references

RESULT = Path(__file__).parent / "results" / "moe.json"
HOME = Path("runs/moe")
EPISODES, ALONE = 20, 4
"""Of the test, and those that one lane plays with a small cache."""
SEEDS = 3


def run(name: str, arm: Arm, seed: int, steps: int) -> dict[str, Any]:
    """The findings of a run; from its file if it is finished."""
    home = place(HOME, name, seed, steps)
    facts = {"arm": name, "settings": str(arm), "seed": seed, "steps": steps}
    return once(home, facts, lambda: train_and_measure(arm, seed, home / "run", steps))


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
    rows = assess(home, task, config, policy.directory, len(seeds))
    return {
        row.player: {**row.to_json(), "normalised": (row.score - low) / (high - low)}
        for row in rows
    }


def summary(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Means over seeds with 95 % intervals."""
    return {**means([numbers(row) for row in rows]), "seeds": len(rows)}


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


def main() -> None:
    """Run the arms that are named."""
    options = arguments(__doc__, ARMS)
    arms = wanted(options.arms, ARMS, ABLATIONS)
    if not arms:
        return
    rows = gather(run, arms, lambda _: SEEDS, options)
    for name in arms:
        show(name, summary(rows[name]))
    if not (options.seeds or options.steps):
        names = " ".join(f"'{name}'" for name in [*ARMS, "ablations"])
        record(RESULT, rows, summary, f"python benchmarks/study_moe.py {names}")


if __name__ == "__main__":
    main()
