"""Rank statistics with ties, without loading ``scipy.stats``: mid-ranks, Spearman's ρ, area under the ROC."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def midranks(values: ArrayLike) -> NDArray[np.float64]:
    """Ranks from 1, tied values sharing the mean of their ranks; shape (n,)."""
    _, inverse, counts = np.unique(np.asarray(values), return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2.0)[inverse]


def spearman(x: ArrayLike, y: ArrayLike) -> float:
    """Spearman's rank correlation of two samples of shape (n,), in [-1, 1]; NaN if either is constant."""
    a, b = midranks(x), midranks(y)
    a, b = a - a.mean(), b - b.mean()
    scale = np.sqrt(np.sum(a * a) * np.sum(b * b))
    return float(np.sum(a * b) / scale) if scale > 0 else float("nan")


def auroc(values: ArrayLike, positive: ArrayLike) -> float:
    """Chance that a positive has a greater value than a negative, ties counting one half.

    Args:
        values: Shape (n,), any real numbers.
        positive: Shape (n,), bool.

    Returns:
        The area under the ROC curve, in [0, 1] (Mann & Whitney 1947); NaN if one class is empty.
    """
    mask = np.asarray(positive, dtype=bool)
    ones, zeros = int(mask.sum()), int((~mask).sum())
    if not ones or not zeros:
        return float("nan")
    rank_sum = float(midranks(values)[mask].sum())
    return (rank_sum - ones * (ones + 1) / 2) / (ones * zeros)
