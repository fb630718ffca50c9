"""Measure what the council costs: training, a sample at a time of the origin's count, and one decision, part by part.

Writes ``benchmarks/results/council_speed.json``::

    .venv/bin/python benchmarks/bench_council.py

Training has the sizes of the origin's experiment (four layers of 64, two voices, three steps, eight slots, 64 tokens) and its
world, the Seed tier.  The origin learns from one step of one episode at a time and was measured at .9 of them a second, compile
included.  A decision is one of the small model at batch 1, on one core.  Figures are medians, of rounds or of decisions.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tropism.agents.artifacts import write_atomic
from tropism.agents.contract import Task
from tropism.agents.manifest import manifest
from tropism.agents.progress import progress

RESULTS = Path(__file__).parent / "results" / "council_speed.json"
ORIGIN = 0.9
"""Training steps a second of the origin in its own experiment, measured."""
EXPERIMENT = {"width": 64, "layers": 4, "heads": 4, "voices": 2, "ponder_steps": 3, "slots": 8, "window": 64}  # fmt: skip
PARTS = ("read", "reflex", "think")
"""Methods of the network that a decision consists of."""
ROUNDS, UPDATES, DECISIONS = 5, 5, 300


def learner(config: dict[str, Any]) -> Callable[[], int]:
    """What makes one update, and says how many steps it has learned from."""
    from tropism_council.agent import untrained
    from tropism_council.config import CouncilConfig
    from tropism_council.episodes import Episodes
    from tropism_council.learning import Carried, Learner

    task = Task("tropism/PatternWorld-Seed-v0")
    settings = CouncilConfig(**config)
    policy = untrained(task, settings)
    student = Learner(policy.network, settings, 1000)
    episodes = Episodes(task, settings.lanes, policy.sizes.tokens - 1, 0)
    episodes.begin(np.random.default_rng(0))
    carried = Carried.begin(policy.network, settings.lanes)

    def update() -> int:
        nonlocal carried
        stretch, began = episodes.next(settings.stretch)
        if began:
            carried = Carried.begin(policy.network, settings.lanes)
        _, _, carried = student.update(stretch, carried)
        return stretch.answers.numel()

    return update


class Decisions:
    """One lane of the Switch tier, played by an untrained council.

    Args:
        thinks: whether System 2 is asked at every step.
    """

    def __init__(self, thinks: bool) -> None:
        from tropism_council.agent import untrained
        from tropism_council.config import CouncilConfig

        task = Task("tropism/PatternWorld-Switch-v0")
        self.policy = untrained(task, CouncilConfig())
        self.env: Any = task.make_vec(1)
        self.gate = np.array([thinks])
        self.spent: dict[str, float] = {}
        for part in PARTS:
            self._time(part)
        self.observation, self.info = self.env.reset(seed=0)
        self.policy.reset(np.ones(1, np.bool_), np.zeros(1, np.uint64))

    def _time(self, part: str) -> None:
        """Add up what calls of a method cost."""
        method = getattr(self.policy.network, part)

        def timed(*args: Any) -> Any:
            began = time.perf_counter()
            found = method(*args)
            self.spent[part] = self.spent.get(part, 0.0) + time.perf_counter() - began
            return found

        setattr(self.policy.network, part, timed)

    def one(self) -> dict[str, float]:
        """Microseconds of a decision, by part, and in all."""
        self.spent = {}
        began = time.perf_counter()
        decision = self.policy.act(self.observation, self.info, self.gate)
        total = time.perf_counter() - began
        self.observation, *_, self.info = self.env.step(decision.action)
        rest = total - sum(self.spent.values())
        return {k: 1e6 * v for k, v in {**self.spent, "all else": rest, "total": total}.items()}


def training(rounds: int, update: Callable[[int], Any]) -> dict[str, float]:
    """Samples a second of training, on one thread."""
    learn, rates = learner({**EXPERIMENT, "threads": 1}), []
    learn()
    for done in range(rounds):
        began, samples = time.perf_counter(), sum(learn() for _ in range(UPDATES))
        rates.append(samples / (time.perf_counter() - began))
        update(done + 1)
    median = statistics.median(rates)
    return {"samples_per_s": round(median), "times_the_origin": round(median / ORIGIN)}


def decision(thinks: bool) -> dict[str, float]:
    """Median microseconds of a decision, by part."""
    lane = Decisions(thinks)
    every = [lane.one() for _ in range(2 * DECISIONS)][DECISIONS:]
    return {key: round(statistics.median(x[key] for x in every), 1) for key in every[0]}


def main() -> None:
    """Measure, print and record."""
    import torch

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    with progress(rounds, "training") as update:
        found: dict[str, Any] = {"training": training(rounds, update)}
    found["System 1 alone, us"], found["System 2 asked, us"] = decision(False), decision(True)
    for name, row in found.items():
        print(f"{name}: " + ", ".join(f"{key} {value:g}" for key, value in row.items()))
    results = {
        "command": "python benchmarks/bench_council.py",
        "work": {"experiment": EXPERIMENT, "updates": UPDATES, "decisions": DECISIONS},
        "results": found,
        "manifest": {k: v for k, v in manifest(seed=0).items() if k != "command"},
    }
    write_atomic(RESULTS, json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
