"""Intervals for scores that vary twice: between training runs, and between evaluation episodes.

A score is a table, training seeds by samples, where all training seeds meet the same evaluation seeds.
Pooling it would pretend that every episode is a training run of its own.  So rows and columns are resampled
independently of each other and crossed (the pigeonhole bootstrap of Owen 2007, Ann. Appl. Stat. 1:386), which
errs, if at all, on the wide side.  Across tasks the bootstrap is stratified by task.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tropism.benchmarks.statistics import MIN_RUNS, Interval, Statistic, interval, iqm
from tropism.errors import OptionError

REPLICATES = 2000
CONFIDENCE = 0.95


def estimate(scores: NDArray, seed: int = 0, statistic: Statistic = iqm) -> Interval | None:
    """Interquartile mean of a table of scores with its 95 % interval.

    Args:
        scores: Shape (training seeds, samples); one row for a player that does not learn.
        seed: Seed of the resampling.
        statistic: Another aggregate than the interquartile mean.

    Returns:
        The interval; ``None`` if a score is not a number (the metric does not apply).
    """
    _check(scores)
    if not np.isfinite(scores).all():
        return None
    rows, columns = _draws(scores.shape, seed)
    drawn = scores[rows[:, :, None], columns[:, None, :]]
    return _interval(float(statistic(scores)), statistic(drawn), _runs(scores))


def improvement(a: NDArray, b: NDArray, seed: int = 0) -> Interval:
    """Probability that a sample of ``a`` beats one of ``b``: P(a > b) + P(a = b) / 2, with its interval.

    Args:
        a: Shape (training seeds, samples), finite.
        b: The same of the other player; sizes may differ.
        seed: Seed of the resampling.
    """
    _check(a)
    _check(b)
    wins = 0.5 * (np.sign(a.reshape(-1, 1) - b.reshape(1, -1)) + 1.0)
    weights_a, weights_b = _weights(a.shape, seed), _weights(b.shape, seed + 1)
    drawn = ((weights_a @ wins) * weights_b).sum(axis=1)
    return _interval(float(wins.mean()), drawn, min(_runs(a), _runs(b)))


def across_tasks(tables: Sequence[NDArray]) -> Interval | None:
    """Interquartile mean over several tasks, by the bootstrap stratified by task.

    A run is a training seed with the mean of its samples; of a player that does not learn, a sample.

    Args:
        tables: One table of scores a task, all of one shape.

    Returns:
        The interval; ``None`` if the tables are not finite or differ in the number of runs.
    """
    columns = [table.mean(axis=1) if len(table) > 1 else table[0] for table in tables]
    if not columns or len({len(column) for column in columns}) > 1:
        return None
    scores = np.stack(columns, axis=1)
    return interval(scores) if np.isfinite(scores).all() else None


def _runs(scores: NDArray) -> int:
    """Independent runs in a table: training seeds, or the samples of a player that does not learn."""
    return len(scores) if len(scores) > 1 else scores.shape[1]


def _draws(shape: tuple[int, ...], seed: int) -> tuple[NDArray, NDArray]:
    """Rows and columns to take, shapes (replicates, rows) and (replicates, columns)."""
    rng = np.random.default_rng(seed)
    rows, columns = shape
    return (
        rng.integers(rows, size=(REPLICATES, rows)),
        rng.integers(columns, size=(REPLICATES, columns)),
    )


def _weights(shape: tuple[int, ...], seed: int) -> NDArray:
    """How much each cell of a table counts in each replicate, shape (replicates, rows * columns)."""
    rng = np.random.default_rng(seed)
    rows, columns = (rng.multinomial(n, np.full(n, 1 / n), size=REPLICATES) / n for n in shape)
    return (rows[:, :, None] * columns[:, None, :]).reshape(REPLICATES, -1)


def _interval(value: float, drawn: NDArray, runs: int) -> Interval:
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(drawn, (tail, 1 - tail))
    few = f"{runs} runs: below {MIN_RUNS} a nominal {CONFIDENCE:.0%} interval covers less"
    return Interval(value, float(low), float(high), runs, few if runs < MIN_RUNS else "")


def _check(scores: NDArray) -> None:
    if scores.ndim != 2 or not scores.size:
        raise OptionError(f"scores have shape {scores.shape}; expected (training seeds, samples)")
