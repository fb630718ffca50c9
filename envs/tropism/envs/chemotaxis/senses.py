"""What the organism of a reference world senses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tropism.envs.chemotaxis.observation import channels
from tropism.envs.chemotaxis.params import Params
from tropism.envs.chemotaxis.streams import DROPOUT, NOISE, chance
from tropism.envs.chemotaxis.tables import NOISE_BITS, gradient_table, level_table, noise_table
from tropism.envs.core.random import Hash, Key, bits

if TYPE_CHECKING:
    from tropism.envs.chemotaxis.reference import Reference

Row = npt.NDArray[np.float32]
_HASH = Hash(np)
_AHEAD = 128
"""Steps whose dropout is drawn at a time."""


class Senses:
    """The senses of one organism.  What it would sense on a cell is kept while the sources stand still.

    Args:
        params: of its world.
    """

    def __init__(self, params: Params) -> None:
        self.params = params
        self._levels: list[float] = level_table().tolist()
        self._x, self._y = (
            gradient_table(n, params.development, params.steps)[0].tolist() for n in params.size
        )
        self._informed = params.informed
        self._members = [
            [k for k, kind in enumerate(params.kind_of) if kind == n]
            for n in range(len(params.kinds))
        ]
        self._range2 = params.sensing_range**2 or 2**30
        self.dropout = chance(params.gradient_dropout)
        self._noise = noise_table(params.obs_noise) if params.obs_noise else None
        self._channels = len(channels(params))
        self._blank = np.zeros(self._channels, np.float32)
        self._dark_key: Key | None = None
        self._dark: list[bool] = []
        self._dark_from = 0
        self.sources_changed()

    def sources_changed(self) -> None:
        """Forget what was to be sensed where."""
        self._views: dict[int, Row] = {}

    def forget(self) -> None:
        """Begin an episode."""

    def observe(self, world: Reference) -> Row:
        """A fresh observation, ``float32[channels]``."""
        if self.dropout and self._is_dark(world):
            row = self._blank.copy()
        else:
            view = self._views.get(world.cell)
            if view is None:
                view = self._views[world.cell] = self._view(world)
            row = view.copy()
        row[-2] = self._levels[world.energy]
        row[-1] = self._levels[world.integrity]
        return row if self._noise is None else row + self._noise_of(world)

    def _is_dark(self, world: Reference) -> bool:
        """Whether the gradient is missing; drawn for many steps at a time, which is faster."""
        if world.key is not self._dark_key or world.t >= self._dark_from + _AHEAD:
            self._dark_key, self._dark_from = world.key, world.t
            steps = np.arange(world.t, world.t + _AHEAD)
            words = _HASH.bits(np.array(world.key, np.uint32), steps, DROPOUT)
            self._dark = (words >> np.uint32(1) < self.dropout).tolist()
        return self._dark[world.t - self._dark_from]

    def _view(self, world: Reference) -> Row:
        """The gradient to the nearest source, and nothing in the other channels."""
        row = self._blank.copy()
        dx, dy = self._nearest(world)
        row[0], row[1] = self._x[dx + self.params.width - 1], self._y[dy + self.params.height - 1]
        return row

    def _nearest(self, world: Reference, kind: int = 0) -> tuple[int, int]:
        """Cells along x and y to the nearest source that is sensed, the first of equally near ones; else 0."""
        found, least = (0, 0), self._range2 + 1
        place, cells, active = world.place, world.cells, world.active
        x, y = place[world.cell]
        for k in self._members[kind]:
            if not active[k] or (self._informed and world.harms(k)):
                continue
            there = place[cells[k]]
            dx, dy = there[0] - x, there[1] - y
            distance = dx * dx + dy * dy
            if distance < least:
                found, least = (dx, dy), distance
        return found

    def _noise_of(self, world: Reference) -> Row:
        assert self._noise is not None
        first = world.t * self._channels
        words = [bits(world.key, first + c, NOISE) for c in range(self._channels)]
        return self._noise[[word >> (32 - NOISE_BITS) for word in words]]
