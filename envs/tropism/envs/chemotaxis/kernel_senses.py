"""What organisms sense, for a batch: the part of the Chemotaxis kernel that makes observations."""

from __future__ import annotations

from typing import Any

import numpy as np

from tropism.envs.chemotaxis.kernel_state import State
from tropism.envs.chemotaxis.observation import channels
from tropism.envs.chemotaxis.params import Params, units
from tropism.envs.chemotaxis.streams import DROPOUT, NOISE, chance
from tropism.envs.chemotaxis.tables import NOISE_BITS, gradient_table, level_table, noise_table
from tropism.envs.core.random import Hash

_FAR = 2**24
"""Squared distance of what is not there."""


class SensesKernel:
    """Observations over the array namespace ``xp`` (``numpy`` or ``jax.numpy``)."""

    def __init__(self, xp: Any, params: Params) -> None:
        self.xp, self.params = xp, params
        self.hash = Hash(xp)
        self.integer = xp.int64 if xp is np else xp.int32
        self.floating = xp.float64 if xp is np else xp.float32
        self._one = np.int32(1)
        self._each = np.arange(params.total_sources, dtype=np.int32)
        self._gain, self._harm = (np.int32(units(v)) for v in (params.energy_gain, params.harm))
        self._channels = len(channels(params))
        self._levels = level_table()
        self._tables = [gradient_table(n, params.development, params.steps) for n in params.size]

    def observe(self, state: State) -> Any:
        """The observation of ``state``, float32[..., channels]."""
        needs = [self._look_up(self._levels, need) for need in self._needs(state)]
        felt = self._side_by_side([*self._gradients(state), *self._seen(state), *needs])
        if not self.params.obs_noise:
            return felt
        counter = state.t[..., None] * self._channels + np.arange(self._channels, dtype=np.int32)
        word = self.hash.bits(state.draw[..., None, :], counter, NOISE)
        index = (word >> self.xp.uint32(32 - NOISE_BITS)).astype(self.xp.int32)
        return felt + self._look_up(noise_table(self.params.obs_noise), index)

    def _gradients(self, state: State) -> list[Any]:
        """What is felt of the directions smelt, x and y of each; nothing where the gradient drops out."""
        ways = self._smelt(state)
        felt = [
            self._feel(table, state, n)
            for way in ways
            for table, n in zip(self._tables, way, strict=True)
        ]
        if not (self.params.gradient_dropout or self.params.family):
            return felt
        word = self.hash.bits(state.draw, state.t, DROPOUT)
        lost = (word >> self.xp.uint32(1)) < self._dropout(state)
        return [self.xp.where(lost, self.xp.float32(0), part) for part in felt]

    def _smelt(self, state: State) -> list[tuple[Any, Any]]:
        """Cells along x and y to whatever has a gradient."""
        return [self._nearest(state, self._sensed(state))]

    def _seen(self, state: State) -> list[Any]:
        """What the cells around show: nothing here."""
        del state
        return []

    def _needs(self, state: State) -> list[Any]:
        return [state.energy, state.integrity]

    def _harms(self, state: State) -> Any:
        """Which sources do harm now, bool[..., K]."""
        return state.harmful

    def _dropout(self, state: State) -> Any:
        """Threshold of a gradient that is missing."""
        del state
        return self.xp.uint32(chance(self.params.gradient_dropout))

    def _sensed(self, state: State) -> Any:
        """Which sources can be smelt at all, bool[..., K]."""
        return state.active & ~self._harms(state) if self.params.informed else state.active

    def _nearest(self, state: State, sensed: Any) -> tuple[Any, Any]:
        """Cells along x and y to the nearest of the sources that are sensed; 0 if there is none."""
        xp, flat = self.xp, self.params.height == 1
        dx = state.source_x - state.x[..., None]
        dy = state.source_y - state.y[..., None]
        distance = dx * dx if flat else dx * dx + dy * dy
        if self.params.sensing_range:
            sensed = sensed & (distance <= self.params.sensing_range**2)
        # Distance and number in one integer: the least is the nearest, and of equally near ones the first.
        rank = xp.where(sensed, distance, _FAR) * len(self._each) + self._each
        nearest = sensed & (rank == rank.min(-1)[..., None])
        return self._count(dx * nearest), state.y * 0 if flat else self._count(dy * nearest)

    def _feel(self, table: Any, state: State, distance: Any) -> Any:
        """What is felt of a distance along one axis, at the present stage of development."""
        rows, columns = table.shape
        place = distance + columns // 2
        if rows > 1:
            place = place + self._clip(state.t - 1, rows - 1) * columns
        return self._look_up(table.reshape(-1), place)

    # -- helpers --------------------------------------------------------------------------------------------

    def _count(self, array: Any) -> Any:
        """Sum over the sources, int32."""
        return array.sum(-1, dtype=self.xp.int32)

    def _clip(self, value: Any, high: int | None = None) -> Any:
        value = self.xp.maximum(value, 0)
        return value if high is None else self.xp.minimum(value, high)

    def _look_up(self, table: Any, index: Any) -> Any:
        return self.xp.asarray(table).take(index, mode="clip")

    def _side_by_side(self, columns: list[Any]) -> Any:
        """``stack`` along a new last axis; in NumPy by assignment, which is several times faster."""
        if self.xp is not np:
            return self.xp.stack(columns, -1)
        joined = np.empty((*columns[0].shape, len(columns)), columns[0].dtype)
        for n, column in enumerate(columns):
            joined[..., n] = column
        return joined

    def _outermost(self, array: Any) -> Any:
        """The same array; in NumPy with its last axis outermost in memory, which sums over it faster."""
        if self.xp is not np:
            return array
        return np.moveaxis(np.ascontiguousarray(np.moveaxis(array, -1, 0)), 0, -1)
