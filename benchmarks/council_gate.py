"""Whether the gate's estimates are to be believed: what it expects thinking to gain, and what it does gain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tropism.agents.contract import BoolArray, Decision, Policy
from tropism.agents.episodes import Episode

BINS = 10


class Heard(Policy):
    """Plays as another policy, and remembers what its gate expected.

    Args:
        policy: one whose decisions have the diagnostic ``expected_gain``.
    """

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self._expected: list[npt.NDArray[np.float32]] = []

    def reset(self, mask: BoolArray, seeds: npt.NDArray[np.uint64]) -> None:
        """Begin an episode in the lanes of ``mask``."""
        self.policy.reset(mask, seeds)

    def act(
        self, observation: Any, info: Mapping[str, Any], gate: BoolArray | None = None
    ) -> Decision:
        """The other's decision."""
        decision = self.policy.act(observation, info, gate)
        self._expected.append(decision.diagnostics["expected_gain"])
        return decision

    def save(self, directory: Path) -> None:
        """Save the other."""
        self.policy.save(directory)

    def expected(self, episodes: Sequence[Episode]) -> npt.NDArray[np.float32]:
        """What was expected at each step, ``float32[E, T]``, of equally long episodes, one a lane."""
        return np.stack(self._expected, 1)[:, : len(episodes[0])]


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
