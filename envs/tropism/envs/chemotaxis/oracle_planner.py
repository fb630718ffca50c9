"""Planners for the levels whose sources come and go: they know where everything is, and walk to what is cheapest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from tropism.envs.chemotaxis.observation import MOVES, STAY
from tropism.envs.chemotaxis.oracle_fields import FAR, Field, cost_of_moves, distances
from tropism.envs.chemotaxis.params import Params, units
from tropism.envs.core.baselines import Baseline

Array = npt.NDArray[Any]
PRICE = 40.0
"""Steps of detour that a loss of all integrity is worth while it is full; scores hardly depend on it."""


class Planner(Baseline):
    """Goes to the good source that is cheapest to reach, round walls and round or through harm; else waits.

    Losses of integrity cost the more steps the less of it is left, and what would kill is forbidden.

    A planner, not exact: it foresees neither where sources will appear again nor the source after the next.
    """

    privileged = True

    def __init__(self, params: Params, num_lanes: int) -> None:
        super().__init__(num_lanes)
        self.params = params
        self._lanes = np.arange(num_lanes)
        harm = params.num_harmful or params.family or params.switch
        self._open = not (harm or params.walls or params.zones)

    def act(self, observation: Any, info: Mapping[str, Any]) -> tuple[Array, None]:  # noqa: ARG002  it is told
        """Actions ``int64[B]``."""
        costs = self._costs(info)
        if self.params.zones:
            costs = np.where(costs.min(0) < FAR, costs, self._cost_of_retreat(info))
        return np.where(costs.min(0) < FAR, costs.argmin(0), STAY).astype(np.int64), None

    def _costs(self, info: Mapping[str, Any]) -> Field:
        """Cost of reaching something good by way of each action, ``float64[5, B]``."""
        sources = np.asarray(info["sources"])
        active, harmful = sources[..., 3] == 1, sources[..., 2] == 1
        return self._cost_to(info, sources, active & ~harmful, active & harmful)

    def _cost_to(
        self, info: Mapping[str, Any], sources: Array, wanted: Array, avoid: Array
    ) -> Field:
        """The same for the sources ``wanted`` among those to ``avoid``, each ``bool[B, K]``."""
        x, y = np.asarray(info["x"]), np.asarray(info["y"])
        if self._open:
            return across(sources, wanted, x, y)
        entry = self._entry(info, self._count(sources, avoid))
        field = distances(self._count(sources, wanted) > 0, entry)
        return cost_of_moves(field, entry, x, y)

    def _cost_of_retreat(self, info: Mapping[str, Any]) -> Field:
        """Cost of leaving the zones by way of each action; who is in none stays."""
        x, y = np.asarray(info["x"]), np.asarray(info["y"])
        zones = self._zones(info)
        ones = np.ones(zones.shape)
        costs = cost_of_moves(distances(~zones, ones), ones, x, y)
        return np.where(zones[y, x, self._lanes], costs, FAR)

    def _count(self, sources: Array, chosen: Array) -> Array:
        """Sources among ``chosen`` (``bool[B, K]``) on each cell, ``int64[H, W, B]``."""
        counts = np.zeros((self.params.height, self.params.width, self.num_lanes), np.int64)
        place = (
            sources[..., 1],
            sources[..., 0],
            np.broadcast_to(self._lanes[:, None], chosen.shape),
        )
        np.add.at(counts, place, chosen)
        return counts

    def _entry(self, info: Mapping[str, Any], harmful: Array) -> Field:
        """Cost of moving onto each cell, given the harmful sources there."""
        integrity = np.asarray(info["integrity_units"])
        loss = harmful * self._harm(info) + self._zones(info) * units(self.params.zone_drain)
        entry = 1.0 + PRICE * loss / np.maximum(integrity, 1)
        return np.where((loss > 0) & (loss >= integrity) | self._walls(info), FAR, entry)

    def _harm(self, info: Mapping[str, Any]) -> Array:
        """What a harmful source takes in each lane, in units."""
        if self.params.family:
            return np.asarray(info["family"])[:, 3]
        return np.asarray(units(self.params.harm))

    def _walls(self, info: Mapping[str, Any]) -> Array:
        """Cells inside walls, ``bool[H, W, B]``."""
        inside = np.zeros((self.params.height, self.params.width, self.num_lanes), bool)
        for column, gap in np.transpose(info["walls"], (1, 2, 0)) if self.params.walls else ():
            inside[:, column, self._lanes] = True
            inside[gap, column, self._lanes] = False
        return inside

    def _zones(self, info: Mapping[str, Any]) -> Array:
        """Cells inside zones, ``bool[H, W, B]``."""
        inside = np.zeros((self.params.height, self.params.width, self.num_lanes), bool)
        for rectangle in np.transpose(info["zones"], (1, 2, 0)) if self.params.zones else ():
            inside |= cells_of(rectangle, self.params.size)
        return inside


class SeasonPlanner(Planner):
    """Goes to the kind in season, or, if it comes too late for that, waits for its turn before the other kind.

    A planner, like its base.
    """

    def _costs(self, info: Mapping[str, Any]) -> Field:
        sources, left = np.asarray(info["sources"]), np.asarray(info["switch_in"])
        active, harmful = sources[..., 3] == 1, sources[..., 2] == 1
        now = self._cost_to(info, sources, active & ~harmful, active & harmful)
        then = self._cost_to(info, sources, active & harmful, active & ~harmful)
        then = np.where(then.min(0) > left, then, FAR)  # not before it is in season
        return np.where(now.min(0) <= left, now, then)


def across(sources: Array, wanted: Array, x: Array, y: Array) -> Field:
    """Cost of reaching a source by way of each action where nothing is in the way, ``float64[5, B]``."""
    costs = np.full((len(MOVES), len(x)), FAR)
    for action, move in enumerate(MOVES[1:], start=1):
        there = np.stack([x, y], -1)[:, None] + move
        steps = 1.0 + np.abs(sources[..., :2] - there).sum(-1)
        costs[action] = np.where(wanted, steps, FAR).min(1)
    return costs


def cells_of(rectangle: Array, size: tuple[int, int]) -> Array:
    """Cells inside a rectangle ``x, y, width, height`` (``[4, B]``) of a grid of ``size``, ``bool[H, W, B]``."""
    left, top, wide, high = rectangle
    x = np.arange(size[0])[None, :, None] - left
    y = np.arange(size[1])[:, None, None] - top
    return (x >= 0) & (x < wide) & (y >= 0) & (y < high)
