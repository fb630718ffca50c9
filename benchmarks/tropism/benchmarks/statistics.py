"""Scores of a few runs on several tasks: robust aggregates with stratified bootstrap intervals.

Aggregates and stratified bootstrap are those of Agarwal et al. (2021), "Deep reinforcement learning
at the edge of the statistical precipice" (NeurIPS), as in their package rliable. Scores are arrays
of shape (runs, tasks); shape (runs,) means one task. Everything repeats exactly from its seed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tropism.errors import OptionError

Statistic = Callable[[NDArray], NDArray]
"""Maps scores of shape (..., runs, tasks) to their aggregates, shape (...)."""

MIN_RUNS = 10
"""Runs below which intervals carry a warning; ``benchmarks/bench_statistics.py`` measures why."""

_CHUNK = 1 << 17  # scores drawn at a time: 1 MiB stays in the cache


@dataclass(frozen=True)
class Interval:
    """An estimate with its confidence interval.

    Attributes:
        estimate: The aggregate of the scores themselves.
        low: Lower end.
        high: Upper end.
        n_runs: Runs a task that it rests on, the fewer of the two where two agents are compared.
        warning: Why not to trust the width, empty from ``MIN_RUNS`` runs on.
    """

    estimate: float
    low: float
    high: float
    n_runs: int
    warning: str


def mean(scores: NDArray) -> NDArray:
    """Mean over runs and tasks, (..., runs, tasks) -> (...)."""
    return scores.mean((-2, -1))


def median(scores: NDArray) -> NDArray:
    """Median over tasks of the mean over runs, (..., runs, tasks) -> (...)."""
    return np.median(scores.mean(-2), axis=-1)


def iqm(scores: NDArray) -> NDArray:
    """Interquartile mean, (..., runs, tasks) -> (...): that of the middle half of all scores.

    A quarter, rounded down, is cut at each end, as in ``scipy.stats.trim_mean(x, 0.25)``.
    """
    pooled = scores.reshape(*scores.shape[:-2], -1)
    count = pooled.shape[-1]
    cut = count // 4
    return np.sort(pooled, axis=-1)[..., cut : count - cut].mean(-1)


def interval(
    scores: ArrayLike,
    statistic: Statistic = iqm,
    *,
    confidence: float = 0.95,
    replicates: int = 2000,
    seed: int = 0,
) -> Interval:
    """Return ``statistic`` of the scores with a stratified bootstrap percentile interval.

    Runs are drawn with replacement within each task, independently of the other tasks.

    Args:
        scores: Shape (runs, tasks) or (runs,), finite.
        statistic: ``iqm``, ``mean``, ``median`` or another of that form.
        confidence: Nominal coverage, in (0, 1).
        replicates: Bootstrap resamples, >= 1.
        seed: Seed of the resampling.

    Raises:
        OptionError: If scores are not finite or of another shape, or an option is out of range.
    """
    x = _scores("scores", scores)
    _check_options(confidence, replicates)
    draws = [statistic(_take(x, rows)) for rows in _rows(x, replicates, seed)]
    return _interval(statistic(x), np.concatenate(draws), confidence, len(x))


def paired_difference(
    a: ArrayLike,
    b: ArrayLike,
    statistic: Statistic = iqm,
    *,
    confidence: float = 0.95,
    replicates: int = 2000,
    seed: int = 0,
) -> Interval:
    """Return statistic(a) - statistic(b) for runs that belong together, as with common seeds.

    Each resample takes the same runs of both, so what the pairs share cancels.

    Args:
        a: Shape (runs, tasks) or (runs,), finite.
        b: The same shape; run i of it was made under the same conditions as run i of ``a``.
        statistic: As in ``interval``.
        confidence: Nominal coverage, in (0, 1).
        replicates: Bootstrap resamples, >= 1.
        seed: Seed of the resampling.

    Raises:
        OptionError: As ``interval``, or if the shapes differ.
    """
    x, y = _scores("a", a), _scores("b", b)
    if x.shape != y.shape:
        raise OptionError(f"a has shape {x.shape} and b {y.shape}; pairs need the same shape")
    _check_options(confidence, replicates)
    rows = _rows(x, replicates, seed)
    draws = [statistic(_take(x, each)) - statistic(_take(y, each)) for each in rows]
    return _interval(statistic(x) - statistic(y), np.concatenate(draws), confidence, len(x))


def probability_of_improvement(
    a: ArrayLike,
    b: ArrayLike,
    *,
    confidence: float = 0.95,
    replicates: int = 2000,
    seed: int = 0,
) -> Interval:
    """Return the probability that a run of ``a`` beats one of ``b`` on a task drawn at random.

    It is the mean over tasks of the Mann–Whitney statistic P(a > b) + P(a = b) / 2; both samples
    are bootstrapped independently within each task.

    Args:
        a: Shape (runs, tasks) or (runs,), finite.
        b: The same number of tasks; the number of runs may differ.
        confidence: Nominal coverage, in (0, 1).
        replicates: Bootstrap resamples, >= 1.
        seed: Seed of the resampling.

    Raises:
        OptionError: As ``interval``, or if the numbers of tasks differ.
    """
    x, y = _scores("a", a), _scores("b", b)
    if x.shape[1] != y.shape[1]:
        raise OptionError(f"a has {x.shape[1]} tasks and b {y.shape[1]}; expected the same tasks")
    _check_options(confidence, replicates)
    wins = 0.5 * (np.sign(x.T[:, :, None] - y.T[:, None, :]) + 1.0)  # [task, run of a, run of b]
    rng = np.random.default_rng(seed)
    # How often each run is drawn is all that a resample does to a mean over pairs.
    drawn_a, drawn_b = (
        rng.multinomial(n, np.full(n, 1 / n), size=(x.shape[1], replicates)) / n
        for n in (len(x), len(y))
    )
    draws = ((drawn_a @ wins) * drawn_b).sum(-1).mean(0)
    return _interval(wins.mean(), draws, confidence, min(len(x), len(y)))


def _rows(scores: NDArray, replicates: int, seed: int) -> Iterator[NDArray]:
    """Rows to take, a chunk of resamples at a time: shape (chunk, runs, tasks)."""
    rng = np.random.default_rng(seed)
    chunk = max(1, _CHUNK // scores.size)
    for start in range(0, replicates, chunk):
        size = (min(chunk, replicates - start), *scores.shape)
        yield rng.integers(len(scores), size=size)


def _take(scores: NDArray, rows: NDArray) -> NDArray:
    return scores[rows, np.arange(scores.shape[1])]


def _interval(
    estimate: NDArray | np.floating, draws: NDArray, confidence: float, runs: int
) -> Interval:
    tail = (1 - confidence) / 2
    low, high = np.quantile(draws, (tail, 1 - tail))
    warning = ""
    if runs < MIN_RUNS:
        warning = (
            f"{runs} run{'s' if runs > 1 else ''} a task: below {MIN_RUNS}, the interval is too "
            f"narrow and covers less than its nominal {confidence:.0%}"
        )
    return Interval(float(estimate), float(low), float(high), runs, warning)


def _scores(name: str, values: ArrayLike) -> NDArray:
    scores = np.asarray(values, dtype=np.float64)
    scores = scores[:, None] if scores.ndim == 1 else scores
    if scores.ndim != 2 or not scores.size:
        raise OptionError(f"{name} has shape {scores.shape}; expected (runs, tasks) or (runs,)")
    if not np.isfinite(scores).all():
        run, task = np.argwhere(~np.isfinite(scores))[0]
        raise OptionError(f"{name} holds {scores[run, task]} at run {run}, task {task}")
    return scores


def _check_options(confidence: float, replicates: int) -> None:
    if not 0 < confidence < 1:
        raise OptionError(f"confidence={confidence!r} must lie between 0 and 1, both excluded")
    if replicates < 1:
        raise OptionError(f"replicates={replicates!r} must be at least 1")
