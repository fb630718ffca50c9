"""Run the pre-registered studies of evolution on the Chemotaxis ladder.

See ``benchmarks/PREREGISTRATION.md`` for what is compared and how::

    .venv/bin/python benchmarks/study_evolution.py              # lists the studies
    .venv/bin/python benchmarks/study_evolution.py plasticity   # runs one, records benchmarks/results/study_plasticity.json

Every run has a directory under ``runs/studies/``; a study that was killed resumes there.  ``--seeds`` and
``--generations`` make smaller trials, which are printed and not recorded.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from studies import STUDIES, Arm, Study
from tropism.agents.artifacts import read_json, write_atomic
from tropism.agents.manifest import manifest
from tropism.agents.progress import progress

RESULTS = Path(__file__).parent / "results"
SCRATCH = Path("runs/studies")
HELD_OUT = 424_242
"""First reset seed of the held-out episodes."""
TRAIN = (1_000_000, 2_000_000)
"""Reset seeds that evolution draws its episodes from."""
FACTS = ("steps", "energy_gained", "reached", "good_arrivals", "bad_arrivals", "integrity_lost", "entropy")  # fmt: skip


def config_of(arm: Arm, generations: int | None) -> Any:
    """The arm's ``EvoConfig``."""
    from tropism_evosax.config import EvoConfig, preset

    values = preset(arm.preset).to_json() | dict(arm.changes) | {"train_seeds": TRAIN}
    return EvoConfig.from_json(values | ({"generations": generations} if generations else {}))


def held_out(evolution: Any, genome: np.ndarray, episodes: int) -> dict[str, float]:
    """Means over the held-out episodes, senses grown up."""
    lives = evolution.assess(genome, range(HELD_OUT, HELD_OUT + episodes), adult=True)
    fitness = lives.fitness[0]
    facts = {name: float(getattr(lives, name)[0].mean()) for name in FACTS}
    error = float(fitness.std(ddof=1) / math.sqrt(len(fitness)))
    return {"score": float(fitness.mean()), "stderr": error, **facts}


def run(arm: Arm, config: Any, seeds: Sequence[int], home: Path, episodes: int) -> list[dict[str, Any]]:  # fmt: skip
    """The runs of an arm, those that are finished from their files."""
    from tropism_evosax.evolution import Evolution
    from tropism_evosax.evolve import evolve

    missing = [seed for seed in seeds if not (home / f"{seed}.json").exists()]
    if missing:
        clock = Clock()
        evolved = evolve(config, missing, [home / f"seed{seed}" for seed in missing], clock)
        evolution = Evolution(config)
        for one in evolved:
            row = {
                "arm": arm.name,
                "seed": one.seed,
                **held_out(evolution, one.best, episodes),
                "own_score": one.best_score,
                "lived": one.env_steps,
                "simulated": one.simulated_steps,
                "seconds": clock.seconds.get(one.seed, 0.0),
                "viable": [row["viable"] / config.population for row in one.rows],
                "controls": controls(arm, config, one.best, episodes),
            }
            write_atomic(home / f"{one.seed}.json", json.dumps(row))
    return [read_json(home / f"{seed}.json") for seed in seeds]


class Clock:
    """Wall seconds that each seed's evolution took, one after the other; the first one compiles."""

    def __init__(self) -> None:
        self.seconds: dict[int, float] = {}
        self._last = time.perf_counter()

    def __call__(self, seed: int, rows: Any) -> None:  # noqa: ARG002  time is all it tells
        """Hear of a chunk of generations."""
        now = time.perf_counter()
        self.seconds[seed] = self.seconds.get(seed, 0.0) + now - self._last
        self._last = now


def controls(arm: Arm, config: Any, genome: np.ndarray, episodes: int) -> dict[str, Any]:
    """The same genome with its plasticity changed."""
    from dataclasses import replace

    from tropism_evosax.evolution import Evolution

    found = {}
    for name, changes in arm.controls.items():
        plasticity = {**config.controller_kwargs["plasticity"], **changes}
        kwargs = {**config.controller_kwargs, "plasticity": plasticity}
        evolution = Evolution(replace(config, controller_kwargs=kwargs))
        found[name] = held_out(evolution, genome, episodes)
    return found


def reference(env_id: str, players: Iterable[str], episodes: int) -> dict[str, Any]:
    """Baselines on the held-out episodes."""
    from tropism.agents.baselines import BaselinePolicy
    from tropism.agents.contract import Task
    from tropism.agents.evaluate import evaluate

    task, found = Task(env_id, train_seeds=TRAIN, test_seeds=(0, 1_000_000)), {}
    for name in players:
        seeds = range(HELD_OUT, HELD_OUT + episodes)
        policy = BaselinePolicy(task, name)
        played = evaluate(policy, task, seeds, privileged=name == "oracle", lanes=256)
        fitness = np.array([episode.score for episode in played])
        error = fitness.std(ddof=1) / math.sqrt(episodes)
        found[name] = {"score": float(fitness.mean()), "stderr": float(error)}
    return found


def interval(values: Sequence[float]) -> dict[str, float]:
    """Mean over seeds with its 95 % interval of Student's t."""
    mean, n = statistics.fmean(values), len(values)
    width = float(stats.t.ppf(0.975, n - 1)) if n > 1 else 0.0
    spread = statistics.stdev(values) / math.sqrt(n) * width if n > 1 else 0.0
    return {"mean": mean, "low": mean - spread, "high": mean + spread, "seeds": n}


def summary(study: Study, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Arms and comparisons as the protocol reports them."""
    by_arm = {arm.name: [row for row in rows if row["arm"] == arm.name] for arm in study.arms}
    arms = {name: _arm(found) for name, found in by_arm.items()}
    scores = {name: [row["score"] for row in found] for name, found in by_arm.items()}
    pairs = [(f"{a} - {b}", scores[a], scores[b]) for a, b in study.comparisons]
    for arm in study.arms:
        for control in arm.controls:
            changed = [row["controls"][control]["score"] for row in by_arm[arm.name]]
            pairs.append((f"{arm.name} - itself, {control}", scores[arm.name], changed))
    return {
        "arms": arms,
        "comparisons": {
            name: interval([x - y for x, y in zip(one, other, strict=True)])
            for name, one, other in pairs
        },
    }


def _arm(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    means = {name: statistics.fmean(row[name] for row in rows) for name in FACTS}
    return {
        **interval([row["score"] for row in rows]),
        **{name: round(value, 4) for name, value in means.items()},
        "simulated": statistics.fmean(row["simulated"] for row in rows),
        "lived": statistics.fmean(row["lived"] for row in rows),
        "seconds": statistics.median(row["seconds"] for row in rows),
        "pass_rate_first_20": statistics.fmean(v for row in rows for v in row["viable"][:20]),
        "pass_rate": statistics.fmean(v for row in rows for v in row["viable"]),
    }


def conduct(name: str, seeds: Sequence[int], generations: int | None) -> dict[str, Any]:
    """Run or resume a study and return its record."""
    study, rows, players = STUDIES[name], [], {}
    home = SCRATCH / name / (f"{generations}" if generations else "whole")
    with progress(len(study.arms), name) as update:
        for arm in study.arms:
            config = config_of(arm, generations)
            rows += run(arm, config, seeds, home / arm.name.replace(" ", "_"), study.episodes)
            if config.env_id not in players:
                players[config.env_id] = reference(config.env_id, study.players, study.episodes)
            update(len(rows) / len(seeds))
    about = {k: v for k, v in manifest().items() if k not in ("command", "seed")}
    return {
        "command": f"python benchmarks/study_evolution.py {name}",
        "protocol": "benchmarks/PREREGISTRATION.md",
        **about,
        "held_out": [HELD_OUT, HELD_OUT + study.episodes],
        "baselines": players,
        **summary(study, rows),
        "runs": [{k: v for k, v in row.items() if k != "viable"} for row in rows],
    }


def show(record: Mapping[str, Any]) -> None:
    """Print a record for people."""
    for env_id, players in record["baselines"].items():
        told = ", ".join(f"{name} {p['score']:.1f}" for name, p in players.items())
        print(f"{env_id}: {told}")
    for kind in ("arms", "comparisons"):
        print(f"\n{kind}")
        for name, v in record[kind].items():
            extra = f"  {v['simulated'] / 1e6:6.1f} M steps {v['seconds']:6.1f} s" if "simulated" in v else ""  # fmt: skip
            print(f"  {name:44} {v['mean']:8.2f} [{v['low']:8.2f}, {v['high']:8.2f}]{extra}")


def main() -> None:
    """Run one study, or list them."""
    parser = argparse.ArgumentParser(description="Run a pre-registered study.")
    parser.add_argument("study", nargs="?", choices=sorted(STUDIES))
    parser.add_argument("--seeds", type=int, help="how many, from 0 on; the study's own by default")
    parser.add_argument("--generations", type=int, help="fewer, for a trial")
    args = parser.parse_args()
    if args.study is None:
        for name, study in STUDIES.items():
            print(f"{name}: {', '.join(arm.name for arm in study.arms)}")
        return
    import jax

    jax.config.update("jax_num_cpu_devices", os.cpu_count() or 1)
    own = STUDIES[args.study].seeds
    seeds = range(args.seeds) if args.seeds else own
    record = conduct(args.study, seeds, args.generations)
    show(record)
    if args.generations is None and len(seeds) >= len(own):
        path = RESULTS / f"study_{args.study}.json"
        write_atomic(path, json.dumps(record, indent=1, allow_nan=False) + "\n")


if __name__ == "__main__":
    main()
