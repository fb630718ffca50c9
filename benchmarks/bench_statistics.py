"""Measure the bootstrap: its speed against SciPy's, and how often its intervals cover the truth.

Writes ``benchmarks/results/statistics.json``::

    .venv/bin/python benchmarks/bench_statistics.py

Speed: one interval, 10 runs x 26 tasks (the Atari-100k shape); contestants take turns, figures are
medians of five rounds. Coverage: scores are drawn from a skewed distribution (gamma, shape 2) whose
interquartile mean is known, so one can count how many nominal 95 % intervals hold it; that is why
intervals over fewer than ten runs carry a warning.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import scipy.stats

from tropism.agents.artifacts import write_atomic
from tropism.agents.manifest import manifest
from tropism.agents.progress import progress
from tropism.benchmarks.statistics import interval, probability_of_improvement

RESULTS = Path(__file__).parent / "results" / "statistics.json"
SHAPE = (10, 26)
REPLICATES = 5000
TRIALS, TRIAL_REPLICATES = 1000, 1000
RUNS, TASKS = (3, 5, 10, 20), (1, 10)
ROUNDS = 5
GAMMA_SHAPE = 2.0


def scipy_interval(scores: np.ndarray) -> Any:
    """The stratified bootstrap of the interquartile mean by SciPy: one sample a task."""
    return scipy.stats.bootstrap(
        tuple(scores.T),
        lambda *tasks, axis: scipy.stats.trim_mean(
            np.concatenate(tasks, axis=axis), 0.25, axis=axis
        ),
        n_resamples=REPLICATES,
        method="percentile",
        rng=np.random.default_rng(0),
    )


def mann_whitney_interval(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Probability of improvement, bootstrapped with SciPy's U statistic, one resample at a time."""
    rng, tasks, draws = np.random.default_rng(0), np.arange(a.shape[1]), []
    for _ in range(REPLICATES // 10):
        rows_a, rows_b = (rng.integers(len(x), size=x.shape) for x in (a, b))
        u = scipy.stats.mannwhitneyu(a[rows_a, tasks], b[rows_b, tasks], axis=0).statistic
        draws.append(u.mean() / (len(a) * len(b)))
    return np.quantile(draws, (0.025, 0.975))


def speed(rounds: int, update: Callable[[float], None]) -> dict[str, Any]:
    """Seconds of each contestant, medians, and the ratio of each pair."""
    rng = np.random.default_rng(1)
    a, b = rng.gamma(GAMMA_SHAPE, size=(2, *SHAPE))
    contestants = {
        "iqm interval": lambda: interval(a, replicates=REPLICATES),
        "iqm interval, scipy.stats.bootstrap": lambda: scipy_interval(a),
        "improvement": lambda: probability_of_improvement(a, b, replicates=REPLICATES // 10),
        "improvement, scipy.stats.mannwhitneyu": lambda: mann_whitney_interval(a, b),
    }
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for done in range(rounds):
        for name, work in contestants.items():
            began = time.perf_counter()
            work()
            seconds[name].append(time.perf_counter() - began)
        update(done + 1)
    table = {name: round(statistics.median(values), 5) for name, values in seconds.items()}
    return {
        "seconds": table,
        "speedup": {n: speedup(seconds, n) for n in ("iqm interval", "improvement")},
    }


def speedup(seconds: dict[str, list[float]], name: str) -> float:
    """Median over rounds of SciPy's time over ours."""
    (other,) = [each for each in seconds if each.startswith(f"{name}, ")]
    pairs = zip(seconds[other], seconds[name], strict=True)
    return round(statistics.median(theirs / ours for theirs, ours in pairs), 2)


def true_iqm() -> float:
    """Mean of the distribution between its quartiles: 2 (F3(q3) - F3(q1)) k, F3 of shape k + 1."""
    low, high = scipy.stats.gamma.ppf((0.25, 0.75), GAMMA_SHAPE)
    inside = np.diff(scipy.stats.gamma.cdf((low, high), GAMMA_SHAPE + 1)).item()
    return 2 * GAMMA_SHAPE * inside


def coverage(runs: int, tasks: int) -> float:
    """Fraction of nominal 95 % intervals of the interquartile mean that hold the true one."""
    rng, truth, hits = np.random.default_rng(2), true_iqm(), 0
    for trial in range(TRIALS):
        scores = rng.gamma(GAMMA_SHAPE, size=(runs, tasks))
        result = interval(scores, replicates=TRIAL_REPLICATES, seed=trial)
        hits += result.low <= truth <= result.high
    return hits / TRIALS


def main() -> None:
    """Measure, print and record."""
    parser = argparse.ArgumentParser(description="Measure the bootstrap's speed and coverage.")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    rounds, covered = parser.parse_args().rounds, {}
    with progress(rounds, "speed") as update:
        timing = speed(rounds, update)
    with progress(len(TASKS) * len(RUNS), "coverage") as update:
        for tasks in TASKS:
            for runs in RUNS:
                covered[f"{runs} runs x {tasks} tasks"] = coverage(runs, tasks)
                update(len(covered))
    for name, ratio in timing["speedup"].items():
        print(f"{name:20s}{1000 * timing['seconds'][name]:8.1f} ms, {ratio:6.1f} x SciPy's speed")
    for name, fraction in covered.items():
        print(f"{name:20s}{fraction:8.1%} of nominal 95 % intervals cover")
    record = {
        "command": "python benchmarks/bench_statistics.py",
        "shape": SHAPE,
        "replicates": {"iqm": REPLICATES, "improvement": REPLICATES // 10},
        "rounds": rounds,
        **timing,
        "coverage": covered,
        "trials": TRIALS,
        "scipy": version("scipy"),
        "manifest": {k: v for k, v in manifest(seed=0).items() if k != "command"},
    }
    write_atomic(RESULTS, json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
