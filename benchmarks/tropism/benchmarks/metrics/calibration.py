"""Whether an agent is as sure as it is right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tropism.benchmarks.metrics.episodes import correct

if TYPE_CHECKING:
    from tropism.agents.evaluate import Episode

BINS = 10
"""Equal bins of confidence in [0, 1]."""


def calibration_error(episodes: Sequence[Episode]) -> float:
    """Expected calibration error: the mean gap between confidence in the action and being right.

    Confidence is the probability that the agent gave to the action it took.  Steps are put into
    :data:`BINS` equal bins of confidence; ECE = Σ_b n_b / n · |accuracy_b - confidence_b|
    (Naeini, Cooper & Hauskrecht 2015, AAAI).

    Returns:
        A share in [0, 1]; NaN if the agent gave no probabilities.
    """
    if any(episode.action_log_prob is None for episode in episodes):
        return float("nan")
    sure = np.exp(np.concatenate([np.asarray(e.action_log_prob, np.float64) for e in episodes]))
    right = np.concatenate([correct(episode) for episode in episodes]).astype(np.float64)
    bins = np.minimum((sure * BINS).astype(np.int64), BINS - 1)
    gap = np.bincount(bins, weights=right - sure, minlength=BINS)
    return float(np.sum(np.abs(gap)) / len(sure))
