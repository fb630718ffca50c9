"""Counters of a session."""

from __future__ import annotations

from dataclasses import dataclass

SLOW = 10.0
"""A step that takes as many times the median is slow, if it also takes ..."""
SLOW_S = 0.001
"""... as many seconds."""


@dataclass
class Stats:
    """What a session has gone through.

    Attributes:
        steps: answered (frames delivered, in latest-frame mode).
        episodes: begun.
        slow_frames: steps that took ten times the median and at least a millisecond.
        stale: answers of older requests, and frames of older episodes, that were discarded.
        dropped: frames that were overtaken by newer ones before they were asked for (latest-frame mode).
        events: messages EVENT received.
        median_s: running estimate of the median time of a step, in seconds.
    """

    steps: int = 0
    episodes: int = 0
    slow_frames: int = 0
    stale: int = 0
    dropped: int = 0
    events: int = 0
    median_s: float = 0.0

    def count_step(self, waited: float) -> None:
        """Count a step that took so many seconds; the median moves by a fiftieth towards it."""
        self.steps += 1
        median = self.median_s
        if median == 0.0:
            self.median_s = waited
            return
        self.median_s = median * (1.02 if waited > median else 0.98)
        if waited > SLOW_S and waited > SLOW * median:
            self.slow_frames += 1
