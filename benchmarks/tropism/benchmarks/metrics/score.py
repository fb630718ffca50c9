"""How well an agent plays: score, accuracy, normalised score and log-regret."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tropism.benchmarks.metrics.episodes import correct, paired

if TYPE_CHECKING:
    from tropism.agents.evaluate import Episode

LOG_PROB_FLOOR = -20.0
"""Least log-probability that counts, in nats: one token called impossible would make the mean infinite."""


def score(episodes: Sequence[Episode]) -> float:
    """Mean return of an episode, in units of reward."""
    return float(np.mean([episode.score for episode in episodes]))


def accuracy(episodes: Sequence[Episode]) -> float:
    """Share of steps whose action was the target, in [0, 1]."""
    return float(np.mean(np.concatenate([correct(episode) for episode in episodes])))


def normalised_score(
    episodes: Sequence[Episode], ideal: Sequence[Episode], random: Sequence[Episode]
) -> float:
    """Score on the scale where the random player is 0 and the ideal observer 1.

    NIS = (s - s_random) / (s_ideal - s_random) of mean returns.  Where the reward pays for right answers
    alone this equals the same ratio of accuracies; in ``probe`` mode it charges for the peeks too.

    Returns:
        The normalised score; NaN if the ideal observer does not beat the random player.
    """
    low, high = score(random), score(ideal)
    return (score(episodes) - low) / (high - low) if high > low else float("nan")


def log_regret(episodes: Sequence[Episode], ideal: Sequence[Episode]) -> float:
    """Mean excess of surprise over the ideal observer, in nats a step: E[log p_ideal - log p_agent].

    Log-probabilities below :data:`LOG_PROB_FLOOR` count as that floor, for both.

    Returns:
        The log-regret; NaN if either player gave no probabilities.
    """
    excess = []
    for episode, best in paired(episodes, ideal):
        if episode.target_log_prob is None or best.target_log_prob is None:
            return float("nan")
        floored = np.maximum([best.target_log_prob, episode.target_log_prob], LOG_PROB_FLOOR)
        excess.append(floored[0] - floored[1])
    return float(np.mean(np.concatenate(excess), dtype=np.float64))
