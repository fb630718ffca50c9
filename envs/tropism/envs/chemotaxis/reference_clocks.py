"""What comes and goes by itself in one reference world: storms with their cues, and hidden changes."""

from __future__ import annotations

from tropism.envs.chemotaxis.params import Params
from tropism.envs.chemotaxis.streams import STORM_GAP, STORM_KIND, SWITCH_SIDE, SWITCH_TIME
from tropism.envs.chemotaxis.tables import storm_thresholds
from tropism.envs.core.random import Key, below, bits

ANNOUNCED, FALSE_CUE, SILENT = range(3)
"""Kinds of storms: cue and storm, cue and no storm, storm without cue."""


class Storms:
    """A cue for some steps, a pause, a storm, a gap of random length, and again.

    Attributes:
        at: step at which the present cycle's cue begins.
        kind: of the present cycle.
        number: of the present cycle.
    """

    def __init__(self, params: Params) -> None:
        self.params = params
        self._begin = params.cue_steps + params.storm_delay
        self._end = self._begin + params.storm_steps
        self._thresholds = storm_thresholds(params)

    def reset(self, key: Key) -> None:
        """Draw the first cycle."""
        self._key, self.number = key, -1
        self._renew(0)

    def _renew(self, t: int) -> None:
        self.number += 1
        low, high = self.params.storm_gap
        self.at = t + low + below(bits(self._key, self.number, STORM_GAP), high - low + 1)
        word = bits(self._key, self.number, STORM_KIND) >> 1
        false, silent = self._thresholds
        self.kind = FALSE_CUE if word < false else SILENT if word < silent else ANNOUNCED

    def advance(self, t: int) -> None:
        """Draw the next cycle where this one is over."""
        if self.params.storms and t - self.at >= self._end:
            self._renew(t)

    def cue(self, t: int) -> bool:
        """Whether the cue is seen."""
        return self.kind != SILENT and 0 <= t - self.at < self.params.cue_steps

    def raging(self, t: int) -> bool:
        """Whether the storm rages."""
        return self.kind != FALSE_CUE and self._begin <= t - self.at < self._end

    def starts_in(self, t: int) -> int:
        """Steps until the storm of this cycle, 0 while it rages, -1 if there is none."""
        return -1 if self.kind == FALSE_CUE else max(self._begin - (t - self.at), 0)

    def left(self, t: int) -> int:
        """Steps for which the storm of this cycle will rage, from now or from its beginning."""
        if self.kind == FALSE_CUE:
            return 0
        return min(self._end - (t - self.at), self.params.storm_steps)


class Switch:
    """Two sides that take turns at hidden times.

    Attributes:
        side: 0 or 1.
        at: step at which it changes next.
        number: changes so far.
    """

    def __init__(self, params: Params) -> None:
        self.params = params

    def reset(self, key: Key) -> None:
        """Draw the first side and how long it lasts."""
        self._key, self.number = key, 0
        self.side = bits(key, 0, SWITCH_SIDE) >> 31
        self.at = self._draw()

    def _draw(self) -> int:
        low, high = self.params.switch_every
        return low + below(bits(self._key, self.number, SWITCH_TIME), high - low + 1)

    def advance(self, t: int) -> bool:
        """Change sides where it is time; say whether that was now."""
        if not self.params.switch or t < self.at:
            return False
        self.number += 1
        self.side ^= 1
        self.at = t + self._draw()
        return True
