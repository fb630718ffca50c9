"""Memoryless players: what can be had without remembering anything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from tropism.envs.chemotaxis.observation import DOWN, LEFT, RIGHT, STAY, UP, channels
from tropism.envs.chemotaxis.params import Params
from tropism.envs.core.baselines import Baseline


class Stay(Baseline):
    """Never moves."""

    def __init__(self, params: Params, num_lanes: int) -> None:  # noqa: ARG002  every world is alike to it
        super().__init__(num_lanes)

    def act(
        self,
        observation: Any,  # noqa: ARG002  it does not look
        info: Mapping[str, Any],  # noqa: ARG002  the same
    ) -> tuple[npt.NDArray[Any], None]:
        """Actions ``int64[B]``."""
        return np.full(self.num_lanes, STAY, np.int64), None


class Greedy(Baseline):
    """Follows the gradient, and stays where there is none (the origin's rule)."""

    def __init__(self, params: Params, num_lanes: int) -> None:
        super().__init__(num_lanes)
        names = channels(params)
        self._channels = [names.index(f"{params.kinds[0]}_{axis}") for axis in "xy"]

    def act(
        self,
        observation: Any,
        info: Mapping[str, Any],  # noqa: ARG002  labels are for the oracle
    ) -> tuple[npt.NDArray[Any], None]:
        """Actions ``int64[B]``."""
        gx, gy = np.asarray(observation)[:, self._channels].T
        return step_towards(gx, gy).astype(np.int64), None


def step_towards(gx: npt.NDArray[Any], gy: npt.NDArray[Any]) -> npt.NDArray[np.intp]:
    """The step along the longer component of a direction, x if they are equal; STAY without a direction."""
    along_x = np.where(gx < 0, LEFT, RIGHT)
    along_y = np.where(gy < 0, UP, DOWN)
    step = np.where(np.abs(gx) >= np.abs(gy), along_x, along_y)
    return np.where((gx == 0) & (gy == 0), STAY, step)
