"""The global state of a shared world as one vector, for critics that see everything."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from tropism.envs.chemotaxis.params import UNIT, Params
from tropism.envs.chemotaxis.shared_world import Organism, SharedWorld

State = npt.NDArray[np.float32]


class Overview:
    """Puts a shared world into numbers in [0, 1].

    In this order: share of the episode that is over; of each organism: is it alive, x, y, its needs; of each source:
    x, y, does it harm now, is it there, and ``1 / (n + 1)`` if it appears in ``n`` steps; then, where the level has
    them, corners of walls, zones and the shelter (x, y), whether a cue is shown, whether a storm rages,
    ``1 / (n + 1)`` if it comes in ``n`` steps, and the season or the goal.  Coordinates are divided by the largest.

    Args:
        params: of the world.
        count: organisms at birth.
    """

    def __init__(self, params: Params, count: int) -> None:
        self.params, self._limit = params, params.max_episode_steps or params.steps
        needs = 2 + params.thirsty
        corners = params.walls + params.zones + params.storms
        size = 1 + count * (3 + needs) + 5 * params.total_sources
        size += 2 * corners + 3 * params.storms + bool(params.switch)
        self.space = spaces.Box(0.0, 1.0, (size,), np.float32)

    def look(self, world: SharedWorld) -> State:
        """The state of ``world``, ``float32[n]``."""
        numbers = [world.ground.t / self._limit]
        for organism in world.organisms:
            numbers += self._organism(world, organism)
        numbers += self._sources(world)
        return np.array([*numbers, *self._rest(world)], np.float32)

    def _organism(self, world: SharedWorld, who: Organism) -> list[float]:
        y, x = divmod(who.cell, self.params.width)
        needs = [who.energy, *([who.hydration] * self.params.thirsty), who.integrity]
        return [float(who in world.living), *self._place(x, y), *(need / UNIT for need in needs)]

    def _sources(self, world: SharedWorld) -> list[float]:
        numbers: list[float] = []
        for row, timer in zip(world.ground.sources().tolist(), world.ground.timers, strict=True):
            x, y, harmful, active = row
            numbers += [*self._place(x, y), float(harmful), float(active), _soon(timer)]
        return numbers

    def _rest(self, world: SharedWorld) -> list[float]:
        """What only some levels have."""
        ground, params = world.ground, self.params
        corners = [*ground.walls, *ground.zones, *([ground.shelter] * params.storms)]
        numbers = [number for corner in corners for number in self._place(*corner)]
        if params.storms:
            storms, t = ground.storms, ground.t
            numbers += [float(storms.cue(t)), float(storms.raging(t)), _soon(storms.starts_in(t))]
        return [*numbers, float(ground.switch.side)] if params.switch else numbers

    def _place(self, x: int, y: int) -> tuple[float, float]:
        return x / max(self.params.width - 1, 1), y / max(self.params.height - 1, 1)


def _soon(steps: int) -> float:
    """1 for now, less the later, 0 for never (-1)."""
    return 1 / (steps + 1) if steps >= 0 else 0.0
