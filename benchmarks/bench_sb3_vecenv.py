"""Measure the native SB3 ``VecEnv`` of the ppo plugin against SB3's own ``DummyVecEnv`` on the same id.

Writes ``benchmarks/results/sb3_vecenv.json``::

    .venv/bin/python benchmarks/bench_sb3_vecenv.py

Contestants take turns (A B A B ...), so that a busy machine slows both alike; figures are medians of five
rounds of environment steps a wall second, random actions drawn beforehand, auto-resets and episode statistics
included on both sides (``DummyVecEnv`` has them from ``Monitor``, as ``make_vec_env`` builds it).
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
from tropism.agents.manifest import manifest
from tropism.agents.progress import progress

RESULTS = Path(__file__).parent / "results" / "sb3_vecenv.json"
ENV_ID = "tropism/PatternWorld-Switch-v0"
KWARGS: dict[str, Any] = {"flat": True}
LANES = 64
ROUNDS = 5
STEPS = {"native": 10_000, "dummy": 2_000}
"""Steps of the whole vector a round: episodes last 1000, so resets have their share on both sides."""


def native() -> Any:
    """The plugin's ``VecEnv`` over the vector class of the id."""
    import gymnasium
    from gymnasium.vector import AutoresetMode

    from tropism_ppo.vecenv import NativeVecEnv

    mode = AutoresetMode.SAME_STEP
    return NativeVecEnv(gymnasium.make_vec(ENV_ID, LANES, autoreset_mode=mode, **KWARGS))


def dummy() -> Any:
    """What SB3 users build: one environment after the other, each in a ``Monitor``."""
    from stable_baselines3.common.env_util import make_vec_env

    # Unless told otherwise, make_vec_env asks for pictures, for which the environment would keep a record.
    return make_vec_env(ENV_ID, LANES, env_kwargs={**KWARGS, "render_mode": None})


def rate(venv: Any, steps: int) -> float:
    """Environment steps a second over ``steps`` steps of all lanes."""
    rng = np.random.default_rng(0)
    actions = rng.integers(venv.action_space.n, size=(64, LANES))
    venv.seed(0)
    venv.reset()
    began = time.perf_counter()
    for step in range(steps):
        venv.step(actions[step % 64])
    return steps * LANES / (time.perf_counter() - began)


def main() -> None:
    """Measure, print and record."""
    import tropism.envs  # noqa: F401  registers the ids

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    rounds = parser.parse_args().rounds
    makers: dict[str, Callable[[], Any]] = {"native": native, "dummy": dummy}
    venvs = {name: make() for name, make in makers.items()}
    rates: dict[str, list[float]] = {name: [] for name in venvs}
    with progress(rounds, f"{LANES} lanes of {ENV_ID}") as update:
        for done in range(rounds):
            for name, venv in venvs.items():
                rates[name].append(rate(venv, STEPS[name]))
            update(done + 1)
    medians = {name: statistics.median(values) for name, values in rates.items()}
    ratio = statistics.median(a / b for a, b in zip(rates["native"], rates["dummy"], strict=True))
    record = {
        "command": "python benchmarks/bench_sb3_vecenv.py",
        "env_id": ENV_ID,
        "kwargs": KWARGS,
        "lanes": LANES,
        "steps_per_s": {name: round(value) for name, value in medians.items()},
        "rounds": {name: [round(value) for value in values] for name, values in rates.items()},
        "ratio": round(ratio, 2),
        "manifest": {k: v for k, v in manifest(seed=0).items() if k != "command"},
    }
    write_atomic(RESULTS, json.dumps(record, indent=1) + "\n")
    print(
        f"native {medians['native']:,.0f}, DummyVecEnv {medians['dummy']:,.0f} env steps/s: {ratio:.1f} x"
    )


if __name__ == "__main__":
    main()
