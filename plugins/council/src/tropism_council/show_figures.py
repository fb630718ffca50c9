"""The numbers behind the pictures: curves around switches, reliability of the gate, depth, and the table.

Intervals are percentile bootstraps of 95 % (Efron 1979), of switches or of episodes; the draws are always the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from tropism_council.show_play import STABLE, Floats, Life

BEFORE, AFTER = 5, 12
OFFSETS = np.arange(-BEFORE, AFTER + 1)
"""Steps before (negative) and after a switch that are looked at."""
BINS = 8
DRAWS = 400
COVERED = (2.5, 97.5)
Column = Callable[[Life], Floats | None]


class Band(NamedTuple):
    """A mean with its interval, each ``float64[X]``; not a number where nothing was measured."""

    x: Floats
    mean: Floats
    low: Floats
    high: Floats


class Figure(NamedTuple):
    """A number with its interval; not a number where it does not apply."""

    value: float
    low: float
    high: float


def around_switches(lives: Sequence[Life], column: Column) -> Floats:
    """A column beside every switch, ``float64[S, 18]``; not a number outside the two regimes that meet there."""
    rows = []
    for life in lives:
        values = column(life)
        if values is None:
            continue
        ends = [0, *life.switches.tolist(), len(life)]
        for first, switch, stop in zip(ends, ends[1:], ends[2:], strict=False):
            at = switch + OFFSETS
            inside = (at >= first) & (at < stop)
            rows.append(np.where(inside, values[np.clip(at, 0, len(life) - 1)], np.nan))
    return np.array(rows).reshape(-1, len(OFFSETS))


def band(rows: Floats, x: npt.ArrayLike = OFFSETS) -> Band:
    """The mean of each column of ``float64[S, X]`` over its rows that are numbers, with a bootstrap of rows."""
    known = np.isfinite(rows)
    values = np.where(known, rows, 0.0)
    drawn = np.random.default_rng(0).multinomial(
        len(rows), np.full(len(rows), 1 / len(rows)), DRAWS
    )
    with np.errstate(invalid="ignore"):
        means = (drawn @ values) / (drawn @ known.astype(np.float64))
        mean = values.sum(0) / known.sum(0)
    low, high = (_percentile(means, q) for q in COVERED)
    return Band(np.asarray(x, np.float64), mean, low, high)


def _percentile(means: Floats, q: float) -> Floats:
    """Of each column, over the draws that are numbers."""
    found = [column[np.isfinite(column)] for column in means.T]
    return np.array([np.percentile(one, q) if len(one) else np.nan for one in found])


def figure(lives: Sequence[Life], statistic: Callable[[Sequence[Life]], float]) -> Figure:
    """A number of all lives, with a bootstrap of lives."""
    rng = np.random.default_rng(0)
    draws = [
        statistic([lives[i] for i in rng.integers(len(lives), size=len(lives))])
        for _ in range(DRAWS // 2)
    ]
    known = np.array(draws)[np.isfinite(draws)]
    low, high = np.percentile(known, COVERED) if len(known) else (np.nan, np.nan)
    return Figure(statistic(lives), float(low), float(high))


def mean_of(column: Column, where: Callable[[Life], npt.NDArray[np.bool_]] | None = None) -> Any:
    """The statistic that averages a column, over all steps or some."""

    def statistic(lives: Sequence[Life]) -> float:
        parts = []
        for life in lives:
            values = column(life)
            if values is not None:
                parts.append(values[where(life)] if where else values)
        every = np.concatenate(parts) if parts else np.zeros(0)
        every = every[np.isfinite(every)]
        return float(every.mean()) if len(every) else np.nan

    return statistic


def thinking(life: Life) -> Floats:
    """1 where System 2 answered, 0 elsewhere."""
    return life.thinks.astype(np.float64)


def compute(life: Life) -> Floats:
    """What each decision cost."""
    return life.episode.compute.astype(np.float64)


def excess(life: Life) -> Floats | None:
    """Nats beyond the ideal observer's."""
    return None if life.loss is None or life.ideal_loss is None else life.loss - life.ideal_loss


def stable(life: Life) -> npt.NDArray[np.bool_]:
    """Steps well after a switch."""
    return life.since > STABLE


def waking(life: Life) -> npt.NDArray[np.bool_]:
    """The steps 1 to 3 after a switch, where something can be known of it."""
    return (life.since >= 1) & (life.since <= 3)


def alignment(lives: Sequence[Life]) -> float:
    """Area under the ROC of compute as a detector of the steps 1 to 3 after a switch; steps before the first are left out."""
    known = [life.since >= 0 for life in lives]
    units = np.concatenate([compute(life)[k] for life, k in zip(lives, known, strict=True)])
    wanted = np.concatenate([waking(life)[k] for life, k in zip(lives, known, strict=True)])
    positive = int(wanted.sum())
    negative = len(wanted) - positive
    if not positive or not negative:
        return np.nan
    above = rankdata(units)[wanted].sum() - positive * (positive + 1) / 2
    return float(above / (positive * negative))


REWARD = "reward a step"
"""Told where there is no right answer."""
TABLE: dict[str, Callable[[Sequence[Life]], float]] = {
    "accuracy": mean_of(lambda life: life.right),
    REWARD: mean_of(lambda life: life.episode.reward),
    "loss, nats": mean_of(lambda life: life.loss),
    "loss beyond the ideal observer's, nats": mean_of(excess),
    "System 2 on all steps": mean_of(thinking),
    f"System 2 on stable steps (more than {STABLE} after a switch)": mean_of(thinking, stable),
    "System 2 on steps 1 to 3 after a switch": mean_of(thinking, waking),
    "AUROC of compute for steps 1 to 3 after a switch": alignment,
    "compute a decision, passes": mean_of(compute),
    "ponder steps where it is asked": mean_of(lambda life: life.ponder),
    "voices' disagreement where they are asked": mean_of(lambda life: life.disagreement),
}
"""The rows of the table, each a statistic of lives."""
OF_GATES = ("System 2", "AUROC")
"""How names of rows begin that say something of a gate only."""
SHARES = ("accuracy", "System 2")
"""How names of rows begin that are told in percent."""


class Reliability(NamedTuple):
    """What the gate expects against what came, in probability of the right answer.

    Attributes:
        gain: realised gain by what was expected; ``x`` is the mean of each bin.
        paired: both systems answered the same steps; else different steps that chance chose.
        name: of the diagnostic on the x axis.
        counts: steps in each bin.
    """

    gain: Band
    paired: bool
    name: str
    counts: npt.NDArray[np.intp]


def reliability(lives: Sequence[Life]) -> Reliability | None:
    """Realised gain of System 2 over System 1 by what the gate expects.

    Where the gain of each step is known (``gain``), that is averaged.  Else chance must have decided who answers, and it is
    System 2's mean probability of the right answer less System 1's in the same bin, which is the same on average.
    """
    name = next((n for n in ("expected_gain", "score") if all(n in x.told for x in lives)), None)
    if name is None or any(life.loss is None for life in lives):
        return None
    expected = np.concatenate([life.told[name] for life in lives]).astype(np.float64)
    chances = np.exp(-np.concatenate([life.loss for life in lives if life.loss is not None]))
    thinks = np.concatenate([life.thinks for life in lives])
    paired = all("gain" in life.told for life in lives)
    gains = np.concatenate([life.told["gain"] for life in lives]) if paired else chances
    which = _bins(expected)
    rows = []
    for b in np.unique(which):
        here = which == b
        measured = _paired(gains[here]) if paired else _apart(chances[here], thinks[here])
        rows.append((expected[here].mean(), *measured, here.sum()))
    x, mean, error, counts = (np.array(part) for part in zip(*rows, strict=True))
    found = Band(x, mean, mean - 1.96 * error, mean + 1.96 * error)
    return Reliability(found, paired, name, counts.astype(np.intp))


def _bins(values: Floats) -> npt.NDArray[np.intp]:
    """The number of the bin of each value; bins hold about equally many."""
    edges = np.unique(np.quantile(values, np.linspace(0, 1, BINS + 1)[1:-1]))
    return np.searchsorted(edges, values, side="right")


def _paired(gains: Floats) -> tuple[float, float]:
    """Mean and standard error."""
    gains = gains[np.isfinite(gains)]
    if len(gains) < 2:
        return np.nan, np.nan
    return float(gains.mean()), float(gains.std(ddof=1) / np.sqrt(len(gains)))


def _apart(chances: Floats, thinks: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """The same of those who think less those who do not (Welch 1947)."""
    first, errors = _paired(chances[~thinks])
    second, others = _paired(chances[thinks])
    return second - first, float(np.hypot(errors, others))


def by_depth(lives: Sequence[Life], column: Column) -> Band | None:
    """A column by how many steps of thought the question needs; ``None`` where all need the same."""
    depths, parts = [], []
    for life in lives:
        k, values = life.label("required_compute"), column(life)
        if k is None or values is None:
            return None
        depths.append(k)
        parts.append(values)
    every = np.unique(np.concatenate(depths))
    if len(every) < 2:
        return None
    means = [
        [_mean(values[k == depth]) for depth in every]
        for k, values in zip(depths, parts, strict=True)
    ]
    return band(np.array(means), every)


def _mean(values: Floats) -> float:
    values = values[np.isfinite(values)]
    return float(values.mean()) if len(values) else np.nan
