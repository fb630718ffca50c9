"""What comes and goes by itself, for a batch: storms with their cues, and hidden changes."""

from __future__ import annotations

from typing import Any

import numpy as np

from tropism.envs.chemotaxis.kernel_layout import LayoutKernel
from tropism.envs.chemotaxis.kernel_state import State
from tropism.envs.chemotaxis.reference_clocks import ANNOUNCED, FALSE_CUE, SILENT
from tropism.envs.chemotaxis.streams import STORM_GAP, STORM_KIND, SWITCH_SIDE, SWITCH_TIME
from tropism.envs.chemotaxis.tables import storm_thresholds


class ClockKernel(LayoutKernel):
    """Clocks; in NumPy they draw only for the lanes whose time has come."""

    def _wind(self, state: State) -> State:
        """Set the clocks at the beginning of an episode."""
        zero = state.t
        if self.params.storms:
            at, kind = self._storm(state.draw, zero, zero)
            state = state._replace(storm_at=at, storm_kind=kind, storm_number=zero)
        if self.params.switch:
            side = (self.hash.bits(state.draw, zero, SWITCH_SIDE) >> self.xp.uint32(31)).astype(
                self.xp.int32
            )
            (at,) = self._change(state.draw, zero, zero)
            state = state._replace(side=side, switch_at=at, switch_number=zero)
        return state

    def _tick(self, state: State) -> State:
        """Advance the clocks to ``state.t``."""
        if self.params.switch:
            due = state.t >= state.switch_at
            number = state.switch_number + due
            (at,) = self._renew(due, self._change, (state.switch_at,), state, number)
            state = state._replace(side=state.side ^ due, switch_at=at, switch_number=number)
        if self.params.storms:
            due = state.t - state.storm_at >= self._storm_end
            number = state.storm_number + due
            old = (state.storm_at, state.storm_kind)
            at, kind = self._renew(due, self._storm, old, state, number)
            state = state._replace(storm_at=at, storm_kind=kind, storm_number=number)
        return state

    def _renew(self, due: Any, draw: Any, old: tuple[Any, ...], state: State, number: Any) -> Any:
        """``draw(key, number, t)`` where ``due``, else what was."""
        if self.xp is not np:
            fresh = draw(state.draw, number, state.t)
            return [self.xp.where(due, new, was) for new, was in zip(fresh, old, strict=True)]
        lanes = np.nonzero(due)
        if not lanes[0].size:
            return old
        renewed = [was.copy() for was in old]
        fresh = draw(state.draw[lanes], number[lanes], state.t[lanes])
        for part, new in zip(renewed, fresh, strict=True):
            part[lanes] = new
        return renewed

    def _change(self, draw: Any, number: Any, t: Any) -> tuple[Any]:
        """Step of the next hidden change."""
        low, high = self.params.switch_every
        word = self.hash.bits(draw, number, SWITCH_TIME)
        return (t + low + self.hash.below(word, high - low + 1),)

    def _storm(self, draw: Any, number: Any, t: Any) -> tuple[Any, Any]:
        """Step of the next cue, and the kind of the storm."""
        xp, (low, high) = self.xp, self.params.storm_gap
        at = t + low + self.hash.below(self.hash.bits(draw, number, STORM_GAP), high - low + 1)
        word = self.hash.bits(draw, number, STORM_KIND) >> xp.uint32(1)
        false, silent = (xp.uint32(n) for n in storm_thresholds(self.params))
        kind = xp.where(word < silent, SILENT, ANNOUNCED)
        return at, xp.where(word < false, FALSE_CUE, kind).astype(xp.int32)

    @property
    def _storm_begin(self) -> int:
        return self.params.cue_steps + self.params.storm_delay

    @property
    def _storm_end(self) -> int:
        return self._storm_begin + self.params.storm_steps

    def _cue(self, state: State) -> Any:
        """Whether the cue is seen."""
        since = state.t - state.storm_at
        return (state.storm_kind != SILENT) & (since >= 0) & (since < self.params.cue_steps)

    def _raging(self, state: State) -> Any:
        """Whether the storm rages."""
        since = state.t - state.storm_at
        real = state.storm_kind != FALSE_CUE
        return real & (since >= self._storm_begin) & (since < self._storm_end)

    def _storm_labels(self, state: State) -> dict[str, Any]:
        """Steps until the storm of this cycle and for which it will rage; -1 and 0 if there is none."""
        since, real = state.t - state.storm_at, state.storm_kind != FALSE_CUE
        left = self.xp.minimum(self._storm_end - since, self.params.storm_steps)
        return {
            "storm_in": self.xp.where(real, self._clip(self._storm_begin - since), -1),
            "storm_left": self.xp.where(real, left, 0),
        }
