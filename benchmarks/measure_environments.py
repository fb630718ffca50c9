"""Measure every registered environment: what its reference players score, and how fast it steps.

Writes ``benchmarks/results/environments.json``, which the table of the README is made from::

    .venv/bin/python benchmarks/measure_environments.py        # all; or name the ids to measure anew
    .venv/bin/python benchmarks/readme_table.py

Scores are mean returns over the same seeds for every player; speeds are medians of five repeats, with random
actions drawn beforehand, default wrappers and auto-reset included.
"""

from __future__ import annotations

import itertools
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from rich.progress import track

import tropism.envs
from tropism.agents.artifacts import write_atomic
from tropism.agents.baselines import BaselinePolicy
from tropism.agents.contract import Task
from tropism.agents.evaluate import evaluate
from tropism.envs.registration import environment_ids

RESULTS = Path(__file__).parent / "results" / "environments.json"
GOLDEN = Path(__file__).parents[1] / "tests" / "conformance" / "golden.json"
"""Hash of a rollout of each id, which a test holds the environments to: numbers stay fresh as long as it does."""
SEEDS = range(10_000, 10_020)
PLAYERS = ("random", "heuristic", "ideal", "oracle")
LANES = 64
REPEATS, SECONDS = 5, 0.3


def scores(env_id: str) -> dict[str, dict[str, float]]:
    """Mean return and its standard error over :data:`SEEDS`, for each player the environment offers."""
    env = gym.make(env_id)
    offered = [name for name in PLAYERS if name in env.unwrapped.baselines]  # pyright: ignore[reportAttributeAccessIssue]
    env.close()
    task, found = Task(env_id), {}
    for name in offered:
        episodes = evaluate(BaselinePolicy(task, name), task, SEEDS, privileged=name == "oracle")
        returns = np.array([episode.score for episode in episodes])
        error = returns.std(ddof=1) / np.sqrt(len(returns))
        found[name] = {"mean": round(float(returns.mean()), 3), "stderr": round(float(error), 3)}
    return found


def rate(step: Callable[[Any], Any], actions: list[Any]) -> int:
    """Median calls per second of ``step`` over ``actions``, again and again."""
    rates = []
    for _ in range(REPEATS):
        cycle, count, began = itertools.cycle(actions), 0, time.perf_counter()
        while (spent := time.perf_counter() - began) < SECONDS:
            for action in itertools.islice(cycle, 64):
                step(action)
            count += 64
        rates.append(count / spent)
    return round(statistics.median(rates))


def single_rate(env_id: str) -> int:
    """Steps per second of ``gym.make``, resets included."""
    env = gym.make(env_id)
    env.action_space.seed(0)
    env.reset(seed=0)

    def step(action: Any) -> None:
        _, _, terminated, truncated, _ = env.step(action)
        if terminated or truncated:
            env.reset()

    found = rate(step, [plain(env.action_space.sample()) for _ in range(1024)])
    env.close()
    return found


def vector_rate(env_id: str) -> int:
    """Steps per second of ``gym.make_vec``, all lanes together."""
    env = gym.make_vec(env_id, num_envs=LANES)
    env.action_space.seed(0)
    env.reset(seed=0)
    found = rate(env.step, [env.action_space.sample() for _ in range(64)])
    env.close()
    return found * LANES


def plain(action: Any) -> Any:
    """A discrete action as the ``int`` that most policies send."""
    return int(action) if isinstance(action, np.integer) else action


def measure(env_id: str) -> dict[str, Any]:
    """Everything about one id, and what the numbers hold for."""
    found = {"scores": scores(env_id), "single": single_rate(env_id), "vector": vector_rate(env_id)}
    machine = f"{os.cpu_count()} cores of {platform.machine()}, Python {platform.python_version()}"
    versions = {"tropism": tropism.envs.__version__}
    versions |= {name: version(name) for name in ("gymnasium", "numpy")}
    golden = json.loads(GOLDEN.read_bytes())[env_id]
    return {**found, "golden": golden, "machine": machine, "versions": versions}


def main() -> None:
    """Measure the ids that the command line names, or every one, and write the results."""
    ids = environment_ids()
    before = json.loads(RESULTS.read_bytes())["environments"] if sys.argv[1:] else {}
    fresh = {env_id: measure(env_id) for env_id in track(sys.argv[1:] or ids, "measuring")}
    found = before | fresh
    record = {
        "command": "python benchmarks/measure_environments.py",
        "seeds": [SEEDS.start, SEEDS.stop],
        "lanes": LANES,
        "environments": {env_id: found[env_id] for env_id in ids if env_id in found},
    }
    RESULTS.parent.mkdir(exist_ok=True)
    write_atomic(RESULTS, json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
