"""Whether the gate's estimates are to be believed: what it expects thinking to gain, and what it does gain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from overheard import Overheard
from tropism.agents.episodes import Episode

BINS = 10


def expected(overheard: Overheard, episodes: Sequence[Episode]) -> npt.NDArray[np.float32]:
    """What the gate expected thinking to gain at each step, ``float32[E, T]``, of equally long episodes, one a lane."""
    return np.stack(overheard.told("expected_gain"), 1)[:, : len(episodes[0])]


def reliability(
    expected: npt.NDArray[np.floating], found: npt.NDArray[np.floating]
) -> dict[str, Any]:
    """Means of both in tenths of the steps, ordered by what was expected; and how far apart they are, on average.

    Args:
        expected: gains.
        found: gains at the same steps.

    Returns:
        ``expected`` and ``found``, lists of ten, and ``error``, the mean absolute difference of the two.
    """
    order = np.argsort(expected, axis=None, kind="stable")
    parts = np.array_split(order, BINS)
    means = [[float(x.ravel()[part].mean()) for part in parts] for x in (expected, found)]
    error = float(np.abs(np.array(means[0]) - np.array(means[1])).mean())
    return {"expected": means[0], "found": means[1], "error": error}
