"""Setting the gate's threshold: at play, because what a gate sees depends on where it has asked."""

from __future__ import annotations

from collections import deque

import numpy as np
import numpy.typing as npt
import torch

from tropism.agents.contract import BoolArray
from tropism_council.gate import Gate

RECENT = 64
"""Steps of all lanes by whose scores the threshold is set from one step to the next."""


class Calibration:
    """Plays with a threshold that follows the scores until it spends the share, and leaves it there.

    For the first quarter the council is asked at random, as often as it may be; then the gate is left to itself.  The
    threshold that stays is that of the second half.

    Args:
        gate: its threshold is set.
        share: of the decisions that may be the council's.
        steps: that will be played in every lane.
        rng: for the first quarter.
    """

    def __init__(self, gate: Gate, share: float, steps: int, rng: np.random.Generator) -> None:
        self.gate, self.share, self.steps, self._rng = gate, share, steps, rng
        self._recent: deque[npt.NDArray[np.float32]] = deque(maxlen=RECENT)
        self._kept: list[npt.NDArray[np.float32]] = []
        self._done = 0

    def asks(self, lanes: int) -> BoolArray | None:
        """Who is to be asked in the next step, ``bool[lanes]``; None leaves it to the gate."""
        if self._done < self.steps // 4:
            return self._rng.random(lanes) < self.share
        return None

    def hear(self, scores: npt.NDArray[np.float32]) -> None:
        """What the gate said in that step, ``float32[lanes]``."""
        self._done += 1
        self._recent.append(scores)
        self._set(self._recent)
        if 2 * self._done > self.steps:
            self._kept.append(scores)

    def end(self) -> None:
        """Set the threshold for good."""
        self._set(self._kept or self._recent)

    def _set(self, scores: deque[npt.NDArray[np.float32]] | list[npt.NDArray[np.float32]]) -> None:
        self.gate.calibrate(torch.from_numpy(np.concatenate(scores)), self.share)
