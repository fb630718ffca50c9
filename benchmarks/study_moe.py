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
from study_runs import Study, means, once, place
from tropism.agents.contract import Budget, Task
from tropism.agents.evaluate import evaluate
from tropism.agents.plugins import default_host
from tropism.agents.runs import Run
from tropism.benchmarks.metrics.score import score
from tropism.benchmarks.references import play_references

RESULT = Path(__file__).parent / "results" / "moe.json"
HOME = Path("runs/moe")
EPISODES, MANY, LONG = 20, 100, 4
"""Of the test: of 1,000 steps, of Chemotaxis, which are short; and those of 1,000 steps that one lane plays with a small cache."""
SEEDS = 3


def run(name: str, arm: Arm, seed: int, steps: int) -> dict[str, Any]:
    """The findings of a run; from its file if it is finished."""
    home = place(HOME, name, seed, steps)
    facts = {"arm": name, "settings": str(arm), "seed": seed, "steps": steps}
    work = train_and_measure if arm.agent == "moe" else other
    return once(home, facts, lambda: work(arm, seed, home / "run", steps))


def other(arm: Arm, seed: int, home: Path, steps: int) -> dict[str, Any]:
    """The score of another agent."""
    task = Task(arm.env_id)
    agent = default_host().make_agent(arm.agent, dict(arm.config), seed)
    with Run(home, {"arm": str(arm), "seed": seed, "steps": steps}) as opened:
        policy = agent.train(task, Budget(env_steps=steps), opened)
    seeds, scale = test_seeds(task), ends(task)
    return {"players": {arm.agent: scaled(score(evaluate(policy, task, seeds)), scale)}}


def train_and_measure(arm: Arm, seed: int, home: Path, steps: int) -> dict[str, Any]:
    """Everything about one run, and the seconds that it learned; None if it was resumed."""
    from tropism_moe.agent import MoEAgent
    from tropism_moe.agent_config import MoEConfig
    from tropism_moe.teachers import teacher_of

    task, config = Task(arm.env_id), MoEConfig(**arm.config)
    started, resumed = time.perf_counter(), home.exists()
    with Run(home, {"arm": str(arm), "seed": seed, "steps": steps}) as opened:
        policy: Any = MoEAgent(config, seed).train(task, Budget(env_steps=steps), opened)
    seconds = None if resumed else time.perf_counter() - started
    seeds, teacher = test_seeds(task), teacher_of(config.teacher, task)
    found = {
        "seconds": seconds,
        "players": players(home, task, config, policy),
        "confidence": confidence(policy, teacher, task, seeds),
    }
    if config.lattice != (1, 1, 1):
        long = "PatternWorld" in arm.env_id
        found["caching"] = caching(policy, task, seeds[:LONG] if long else seeds)
    return found


def players(home: Path, task: Task, config: Any, policy: Any) -> dict[str, dict[str, Any]]:
    """Every stage and the packed form, by name."""
    from tropism_moe.report import assess

    scale = ends(task)
    rows = assess(home, task, config, policy.directory, len(test_seeds(task)))
    return {row.player: {**row.to_json(), **scaled(row.score, scale)} for row in rows}


def test_seeds(task: Task) -> range:
    """Of the episodes that all players play."""
    first = task.test_seeds[0]
    return range(first, first + (EPISODES if "PatternWorld" in task.env_id else MANY))


def ends(task: Task) -> tuple[float, float]:
    """Scores of the random player and of the ideal one."""
    found = play_references(task, test_seeds(task))
    return score(found["random"]), score(found["ideal"])


def scaled(found: float, scale: tuple[float, float]) -> dict[str, float]:
    """A score, and where it lies between the ends of the scale."""
    low, high = scale
    return {"score": found, "normalised": (found - low) / (high - low)}


def summary(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Means over seeds with 95 % intervals."""
    return {**means([numbers(row) for row in rows]), "seeds": len(rows)}


def numbers(row: Mapping[str, Any]) -> dict[str, float]:
    """The finite numbers of a run, by dotted names."""
    found = {"seconds": row.get("seconds")}
    found |= {f"{p}.{k}": v for p, facts in row["players"].items() for k, v in facts.items()}
    found |= {f"confidence.{k}": v for k, v in row.get("confidence", {}).items()}
    for part in row.get("caching", ()):
        found |= {f"caching.{part['tolerance']:g}.{k}": v for k, v in part.items()}
    return {k: v for k, v in found.items() if isinstance(v, int | float) and np.isfinite(v)}


def show(name: str, found: Mapping[str, Any]) -> None:
    """One arm, for people."""
    scores = {k.partition(".")[0]: v["mean"] for k, v in found.items() if k.endswith(".normalised")}
    told = [f"{player} {value:.3f}" for player, value in scores.items()]
    keys = [k for k in ("sparse.unevenness", "confidence.ece_before", "confidence.ece_after") if k in found]  # fmt: skip
    told += [f"{key} {found[key]['mean']:.3f}" for key in keys]
    print(f"{name}: {', '.join(told)}")


if __name__ == "__main__":
    Study(
        __doc__,
        Path(__file__).name,
        RESULT,
        ARMS,
        ABLATIONS,
        lambda _: SEEDS,
        run,
        summary,
        show,
    ).main()
