"""What the organism of a reference world senses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from tropism.envs.chemotaxis.observation import channels
from tropism.envs.chemotaxis.params import Params
from tropism.envs.chemotaxis.streams import DROPOUT, NOISE, chance
from tropism.envs.chemotaxis.tables import NOISE_BITS, gradient_table, level_table, noise_table
from tropism.envs.core.random import Hash, bits

if TYPE_CHECKING:
    from tropism.envs.chemotaxis.reference import Reference

Row = npt.NDArray[np.float32]
_HASH = Hash(np)
_STEPS = np.arange(129, dtype=np.uint32)
"""Observations whose dropout is drawn at a time: those of a life of 128 steps."""
_ONE = np.uint32(1)
_ROWS = 64
"""Observations made at a time."""
_NOTHING = (0.0, 0.0)
"""What is felt of sources where there is no gradient."""


class Senses:
    """The senses of one organism.  What it would sense on a cell is kept while the sources stand still.

    Args:
        params: of its world.
    """

    def __init__(self, params: Params) -> None:
        self.params = params
        self._levels: list[float] = level_table().tolist()
        self._tables = [gradient_table(n, params.development, params.steps) for n in params.size]
        self._x, self._y = map(_by_distance, self._tables)
        self._informed = params.informed
        self._members = [
            [k for k, kind in enumerate(params.kind_of) if kind == n]
            for n in range(len(params.kinds))
        ]
        self._range2 = params.sensing_range**2 or 2**30
        self.dropout = chance(params.gradient_dropout)
        self._noise = noise_table(params.obs_noise) if params.obs_noise else None
        self._channels = len(channels(params))
        self._renew()
        self.sources_changed()
        self.forget()

    def __reduce__(self) -> tuple[Any, ...]:
        """Let worlds be copied and pickled, without what is kept or prepared."""
        return type(self), (self.params,), {"dropout": self.dropout, "_dark": self._dark}

    def sources_changed(self) -> None:
        """Forget what was to be sensed where."""
        self._felt: dict[int, Any] = {}
        self._sensed: list[list[tuple[int, int]]] | None = None

    def forget(self) -> None:
        """Begin an episode."""
        self._dark: list[bool] = []

    def observe(self, world: Reference) -> Row:
        """A fresh observation, ``float32[channels]``."""
        if self.dropout and self._is_dark(world):
            felt = _NOTHING
        else:
            felt = self._felt.get(world.cell)
            if felt is None:
                felt = self._felt[world.cell] = self._feel(world)
        at = self._next
        if at == len(self._numbers):
            at = self._renew()
        self._next = at + 4
        numbers = self._numbers
        numbers[at], numbers[at + 1] = felt
        numbers[at + 2] = self._levels[world.energy]
        numbers[at + 3] = self._levels[world.integrity]
        row = next(self._rows)
        return row if self._noise is None else row + self._noise_of(world)

    def _renew(self) -> int:
        """Make rows for observations, many at a time, which takes a third as long; return where the first begins.

        No two rows share memory.  A memory view is the fastest way to write single numbers.
        """
        rows = np.zeros((_ROWS, self._channels), np.float32)
        self._numbers: Any = memoryview(cast("Any", rows.reshape(-1)))
        self._rows, self._next = iter(rows), 0
        return 0

    def _is_dark(self, world: Reference) -> bool:
        """Whether the gradient is missing."""
        while world.t >= len(self._dark):  # draw many steps at a time, which is faster
            steps = _STEPS + len(self._dark)
            words = _HASH.bits(np.array(world.key, np.uint32), steps, DROPOUT)
            self._dark += (words >> _ONE < self.dropout).tolist()
        return self._dark[world.t]

    def _feel(self, world: Reference) -> Any:
        """The gradient to the nearest source."""
        dx, dy = self._nearest(world)
        return self._x[0][dx], self._y[0][dy]

    def _nearest(self, world: Reference, kind: int = 0) -> tuple[int, int]:
        """Cells along x and y to the nearest source that is sensed, the first of equally near ones; else 0."""
        if self._sensed is None:
            self._sensed = [self._places(world, members) for members in self._members]
        found, least = (0, 0), self._range2 + 1
        x, y = world.place[world.cell]
        for there_x, there_y in self._sensed[kind]:
            dx, dy = there_x - x, there_y - y
            distance = dx * dx + dy * dy
            if distance < least:
                found, least = (dx, dy), distance
        return found

    def _places(self, world: Reference, members: list[int]) -> list[tuple[int, int]]:
        """Where those of some sources are that can be sensed."""
        there = [k for k in members if world.active[k] and not (self._informed and world.harms(k))]
        return [world.place[world.cells[k]] for k in there]

    def _noise_of(self, world: Reference) -> Row:
        assert self._noise is not None
        first = world.t * self._channels
        words = [bits(world.key, first + c, NOISE) for c in range(self._channels)]
        return self._noise[[word >> (32 - NOISE_BITS) for word in words]]


def _by_distance(table: Row) -> list[list[float]]:
    """Rows of :func:`~tropism.envs.chemotaxis.tables.gradient_table` by distance: negative ones count from the end."""
    return np.roll(table, -(table.shape[1] // 2), axis=1).tolist()
