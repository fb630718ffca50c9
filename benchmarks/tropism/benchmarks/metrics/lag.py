"""How long an agent takes to recover from a switch, with switches that cut each other short."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tropism.benchmarks.metrics.episodes import correct, label, paired, regimes
from tropism.benchmarks.survival import restricted_mean

if TYPE_CHECKING:
    from tropism.agents.evaluate import Episode

RUN = 3
"""Right answers in a row that count as recovered."""
HORIZON = 30
"""Steps up to which lags are averaged (restricted mean); the mean life of a rule on the Switch tier."""


class Lag(NamedTuple):
    """The lag after one switch.

    Attributes:
        steps: Steps from the switch to the first of :data:`RUN` right answers in a row; of a censored lag
            the last step at which a run was looked for and not found.
        observed: Whether the agent recovered before the next switch or the end.
        first_visit: Whether the new rule had not been met before in the episode.
    """

    steps: int
    observed: bool
    first_visit: bool


def lags(episode: Episode) -> Iterator[Lag]:
    """The lag after every switch: the least l with right answers at switch + l, ..., switch + l + 2.

    The run must end before the next switch.  Regimes shorter than a run are left out: no agent could
    show a recovery there, so they carry no information about any.
    """
    right = correct(episode).astype(np.int64)
    rule = label(episode, "rule") if "rule" in episode.labels else np.arange(len(right))
    for start, stop in regimes(episode):
        if stop - start < RUN:
            continue
        runs = np.flatnonzero(np.convolve(right[start:stop], np.ones(RUN, int), "valid") == RUN)
        first = rule[start] not in rule[:start]
        last = stop - start - RUN
        yield Lag(int(runs[0]) if len(runs) else last, bool(len(runs)), bool(first))


def restricted_mean_lag(episodes: Sequence[Episode]) -> float:
    """Mean steps to recover from a switch, Kaplan–Meier over censored ones, up to :data:`HORIZON`.

    Returns:
        Steps in [0, HORIZON]; NaN if no regime was long enough to measure.
    """
    return _mean(lag for episode in episodes for lag in lags(episode))


def excess_lag(episodes: Sequence[Episode], ideal: Sequence[Episode]) -> float:
    """Restricted mean lag beyond the ideal observer's over the same switches of the same seeds, in steps."""
    pairs = list(paired(episodes, ideal))
    return restricted_mean_lag([ours for ours, _ in pairs]) - restricted_mean_lag(
        [best for _, best in pairs]
    )


def savings(episodes: Sequence[Episode]) -> float:
    """Lag on the first visit to a rule over the lag on later visits; above 1, the agent remembers.

    Returns:
        The ratio of restricted means; NaN without repeated visits or with no lag on them.
    """
    every = [lag for episode in episodes for lag in lags(episode)]
    first = _mean(lag for lag in every if lag.first_visit)
    later = _mean(lag for lag in every if not lag.first_visit)
    return first / later if later > 0 else float("nan")


def _mean(every: Iterable[Lag]) -> float:
    kept = list(every)
    if not kept:
        return float("nan")
    return restricted_mean([lag.steps for lag in kept], [lag.observed for lag in kept], HORIZON)
