"""Score within a budget of compute: how much of a policy's score is left when thinking is rationed.

A policy with a cheap and a costly mode plays under token buckets: what flows in each step is the budget, a
multiple of its cheap decision, and while the bucket cannot pay a costly decision the cheap mode is imposed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tropism.benchmarks.metrics.compute import BUDGETS, pareto_area
from tropism.benchmarks.metrics.score import score

if TYPE_CHECKING:
    from tropism.agents.contract import Policy, Task
    from tropism.agents.episodes import Episode
    from tropism.benchmarks.metrics.registry import References

SEEDS = 2
"""Episodes a budget: a bucket plays in one lane, which takes seconds for a thousand steps."""


def play_budgets(
    policy: Policy, task: Task, episodes: Sequence[Episode], *, privileged: bool = False
) -> dict[str, Any] | None:
    """Play the first :data:`SEEDS` seeds again under each budget of ``BUDGETS``.

    A bucket holds one costly decision, and is full when an episode begins.

    Args:
        policy: What acts.
        task: Where.
        episodes: What it played freely; its cheapest and dearest decision are taken from them.
        privileged: The policy sees the labels.

    Returns:
        ``seeds``, ``budgets`` (multiples of the cheapest decision), ``scores`` (returns, one list a
        budget) and ``compute`` (mean units of a decision, one a budget); ``None`` if the policy does not
        report its mode (it has one only).
    """
    from tropism.agents.evaluate import TokenBucket, evaluate

    if any(episode.gated is None for episode in episodes):
        return None
    units = np.concatenate([episode.compute for episode in episodes])
    cheap, costly = max(1.0, float(units.min())), max(1.0, float(units.max()))
    seeds = [episode.seed for episode in episodes[:SEEDS]]
    played = [
        evaluate(
            policy,
            task,
            seeds,
            privileged=privileged,
            gate=TokenBucket(budget * cheap, capacity=costly, costly=costly),
        )
        for budget in BUDGETS
    ]
    return {
        "seeds": seeds,
        "budgets": list(BUDGETS),
        "scores": [[episode.score for episode in each] for each in played],
        "compute": [float(np.mean([np.mean(e.compute) for e in each])) for each in played],
    }


def budget_area(records: Sequence[Mapping[str, Any]], references: References) -> float:
    """Pareto area of a policy with two modes: normalised score over the logarithm of the budget.

    Args:
        records: What :func:`play_budgets` returned, one a training seed.
        references: Players that fix the scale, on those seeds among others.

    Returns:
        ``pareto_area`` of the budgets and the scores under them; NaN without a scale.
    """
    low, high = (_on(references, name, records[0]["seeds"]) for name in ("random", "ideal"))
    if not high > low:
        return float("nan")
    means = np.mean([np.mean(record["scores"], axis=1) for record in records], axis=0)
    return pareto_area(records[0]["budgets"], (means - low) / (high - low))


def point_area(episodes: Sequence[Episode], normalised: float) -> float:
    """Pareto area of a policy with one mode, which has one point: it cannot think less.

    Its budget is its mean compute over its cheapest decision, so a policy whose decisions all cost the
    same keeps every budget, and the area is its normalised score.
    """
    units = np.concatenate([episode.compute for episode in episodes]).astype(np.float64)
    return pareto_area([units.mean() / max(1.0, units.min())], [normalised])


def _on(references: References, name: str, seeds: Sequence[int]) -> float:
    """Mean return of a reference on some seeds; NaN if it did not play."""
    played = [episode for episode in references.get(name, ()) if episode.seed in seeds]
    return score(played) if played else float("nan")
