"""A planner for the levels whose sources come and go: it knows where everything is, and walks to the cheapest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from tropism.envs.chemotaxis.observation import STAY
from tropism.envs.chemotaxis.oracle_fields import FAR, Field, cost_of_moves, distances
from tropism.envs.chemotaxis.params import Params, units
from tropism.envs.core.baselines import Baseline

TOLL = 10.0
"""Steps of detour that a harm is worth while it does not kill; the score hardly depends on it (5 to 20: ± .1)."""


class Planner(Baseline):
    """Goes to the good source that is cheapest to reach, around or through harmful ones; waits where none is.

    A planner, not exact: it does not foresee where sources will reappear, nor the source after the next.
    """

    privileged = True

    def __init__(self, params: Params, num_lanes: int) -> None:
        super().__init__(num_lanes)
        self.params = params
        self._lanes = np.arange(num_lanes)

    def act(self, observation: Any, info: Mapping[str, Any]) -> tuple[npt.NDArray[Any], None]:  # noqa: ARG002  it is told
        """Actions ``int64[B]``."""
        good, harmful = self._cells(np.asarray(info["sources"]))
        entry = self._entry(harmful, np.asarray(info["integrity_units"]))
        field = distances(good > 0, entry)
        costs = cost_of_moves(field, entry, np.asarray(info["x"]), np.asarray(info["y"]))
        return np.where(costs.min(0) < FAR, costs.argmin(0), STAY).astype(np.int64), None

    def _cells(self, sources: npt.NDArray[np.integer]) -> npt.NDArray[np.int16]:
        """Good and harmful sources on each cell, ``int16[2, H, W, B]``."""
        counts = np.zeros((2, self.params.height, self.params.width, self.num_lanes), np.int16)
        x, y, harmful, active = np.moveaxis(sources, -1, 0)
        np.add.at(counts, (harmful, y, x, self._lanes[:, None]), active.astype(np.int16))
        return counts

    def _entry(self, harmful: npt.NDArray[np.int16], integrity: npt.NDArray[np.integer]) -> Field:
        """Cost of moving onto each cell: a step, and a toll for harm or ``FAR`` if it would kill."""
        harm = harmful * units(self.params.harm)
        return np.where(harm < integrity, 1.0 + TOLL * (harm > 0), FAR)
