"""What a decision costs, and whether the cost is spent where it is needed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tropism.benchmarks.metrics.episodes import label, since_switch
from tropism.benchmarks.metrics.ranks import auroc, spearman
from tropism.errors import OptionError

if TYPE_CHECKING:
    from tropism.agents.evaluate import Episode

BUDGETS = (1.0, 1.25, 1.5, 2.0, 4.0)
"""Compute budgets of the Pareto area, as multiples of the policy's cheapest decision."""


def mean_compute(episodes: Sequence[Episode]) -> float:
    """Mean compute of a decision, in the agent's own primitive (network passes, look-ups)."""
    return float(np.mean(_units(episodes)))


def wall_time(episodes: Sequence[Episode]) -> float:
    """Mean wall microseconds of a decision; it depends on machine and number of lanes."""
    return float(np.mean([episode.wall_us for episode in episodes]))


def alignment(episodes: Sequence[Episode]) -> float:
    """Area under the ROC of compute as a detector of the steps 1 to 3 after a switch.

    Steps before the first switch are left out: nothing has changed there yet.

    Returns:
        In [0, 1]; 0.5 for compute that knows nothing of switches; NaN without such steps.
    """
    since = np.concatenate([since_switch(episode) for episode in episodes])
    kept = since >= 0
    return auroc(_units(episodes)[kept], (since[kept] >= 1) & (since[kept] <= 3))


def surprise_correlation(episodes: Sequence[Episode]) -> float:
    """Spearman's ρ of compute and the change of the ideal observer's belief (label ``belief_kl``, nats)."""
    return spearman(_units(episodes), _labels(episodes, "belief_kl"))


def depth_correlation(episodes: Sequence[Episode]) -> float:
    """Spearman's ρ of compute and the required compute (on Hop the number of hops asked for)."""
    return spearman(_units(episodes), _labels(episodes, "required_compute"))


def pareto_area(units: ArrayLike, scores: ArrayLike, budgets: Sequence[float] = BUDGETS) -> float:
    """Area under the best normalised score within a compute budget, over the logarithm of the budget.

    Args:
        units: Shape (n,), each >= 1: budgets that one policy was held to, or what n policies spent.
        scores: Shape (n,): the normalised scores with them.
        budgets: Rising budgets, in the same units; within a budget that nobody keeps the score is 0.

    Returns:
        The trapezoidal area divided by its width; 1 for ideal play at the least budget.
    """
    cost, score = np.asarray(units, dtype=np.float64), np.asarray(scores, dtype=np.float64)
    if cost.ndim != 1 or cost.shape != score.shape:
        raise OptionError(
            f"units has shape {cost.shape} and scores {score.shape}; expected one (n,)"
        )
    best = [max([0.0, *score[cost <= budget].tolist()]) for budget in budgets]
    widths = np.diff(np.log(budgets))
    means = (np.array(best[:-1]) + np.array(best[1:])) / 2
    return float(np.sum(widths * means) / np.sum(widths))


def _units(episodes: Sequence[Episode]) -> NDArray[np.float64]:
    return np.concatenate([np.asarray(e.compute, dtype=np.float64) for e in episodes])


def _labels(episodes: Sequence[Episode], name: str) -> NDArray[np.float64]:
    return np.concatenate([label(e, name).astype(np.float64) for e in episodes])
