"""A planner for worlds with storms: it knows when they come, and is in the shelter in time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from tropism.envs.chemotaxis.baselines_reactive import step_towards
from tropism.envs.chemotaxis.observation import LEFT, RIGHT
from tropism.envs.chemotaxis.params import Params
from tropism.envs.core.baselines import Baseline

Array = npt.NDArray[Any]
NEVER = 10**6


class StormPlanner(Baseline):
    """Goes to the nearest source from which it can still reach the shelter in time, else to the shelter.

    A planner, not exact: but for its first source, which is worth much, it takes no harm that it can avoid.
    """

    privileged = True

    def __init__(self, params: Params, num_lanes: int) -> None:
        super().__init__(num_lanes)
        self.params = params
        self._lanes = np.arange(num_lanes)

    def act(self, observation: Any, info: Mapping[str, Any]) -> tuple[Array, None]:  # noqa: ARG002  it is told
        """Actions ``int64[B]``."""
        here = np.stack([info["x"], info["y"]], -1)[:, None]
        sources = np.asarray(info["sources"])
        away = np.abs(sources[..., :2] - here).sum(-1)
        away = np.where(away == 0, 2, away)  # off and on again
        back = np.abs(way_in(sources[..., :2], info["shelter"])).sum(-1)
        first = ~np.asarray(info["reached"])[:, None]
        in_time = (away + back <= self._time(info)[:, None]) | first
        cost = np.where(in_time & (sources[..., 3] == 1), away, NEVER)
        go = cost.min(1) < NEVER
        to_source = sources[self._lanes, cost.argmin(1), :2] - here[:, 0]
        way = np.where(go[:, None], to_source, way_in(here, info["shelter"])[:, 0])
        on_source = go & (way == 0).all(-1)
        off = self._off(here[:, 0], info["shelter"])
        return np.where(on_source, off, step_towards(way[:, 0], way[:, 1])).astype(np.int64), None

    def _time(self, info: Mapping[str, Any]) -> Array:
        """Steps until the first one that must end in the shelter."""
        starts, left = np.asarray(info["storm_in"]), np.asarray(info["storm_left"])
        raging = (starts == 0) & (left > 1)
        return np.where(raging, 0, np.where(starts > 0, starts, NEVER))

    def _off(self, here: Array, shelter: Any) -> Array:
        """A step aside that stays in the shelter if it can."""
        return np.where(here[:, 0] > np.asarray(shelter)[:, 0], LEFT, RIGHT)


def way_in(cells: Array, shelter: Any) -> Array:
    """Cells along x and y from each of ``cells`` (``[B, K, 2]``) to the shelter (``[B, 4]``); 0 inside."""
    corner, extent = np.asarray(shelter)[:, None, :2], np.asarray(shelter)[:, None, 2:]
    return np.clip(cells, corner, corner + extent - 1) - cells
