"""The exact oracle of the levels where sources stand still: it reads the layout from the labels in ``info``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from tropism.envs.chemotaxis.oracle_values import Counts, Stakes, solve
from tropism.envs.chemotaxis.params import UNIT, Params, units
from tropism.envs.core.baselines import Baseline

BLOCK = 128
"""Lanes solved at a time: their values stay in the processor's cache."""


class ExactOracle(Baseline):
    """Plays the best life that the layout allows: levels without depletion, L0.0 to L0.2-Informed.

    Exact for an adult whose energy lasts by itself, ``decay * (steps - 1) < energy`` at birth, as it does by default
    (:mod:`~tropism.envs.chemotaxis.oracle_values` has the proof), else a lower bound.  A layout is solved when its
    episode begins (a thousand lanes of L0.2 in a second); one byte a state and step is kept: 64 kB a lane of L0.2,
    256 kB of a 16 x 16 world with harm.
    """

    privileged = True

    def __init__(self, params: Params, num_lanes: int) -> None:
        super().__init__(num_lanes)
        self.params = params
        self._harm = units(params.harm)
        self._lives = -(-UNIT // self._harm) if self._harm and params.num_harmful else 1
        self._stakes = Stakes(
            params.alive_weight,
            params.gain_weight * units(params.energy_gain) / UNIT,
            params.reach_weight,
            params.steps,
            params.terminate_on_reach,
        )
        shape = (params.steps, 2, self._lives, params.height, params.width)
        self._policy = np.zeros((num_lanes, *shape), np.int8)
        self._fresh = np.ones(num_lanes, bool)
        self._lanes = np.arange(num_lanes)

    def reset(self, mask: npt.NDArray[np.bool_], seeds: npt.NDArray[np.uint64]) -> None:  # noqa: ARG002  nothing is random
        """Begin an episode in the lanes of ``mask``."""
        self._fresh |= mask

    def act(self, observation: Any, info: Mapping[str, Any]) -> tuple[npt.NDArray[Any], None]:  # noqa: ARG002  it is told
        """The best action of each lane, ``int64[B]``."""
        fresh = np.flatnonzero(self._fresh)
        for start in range(0, len(fresh), BLOCK):
            self._solve(fresh[start : start + BLOCK], np.asarray(info["sources"]))
        self._fresh[:] = False
        t = np.minimum(info["t_alive"], self.params.steps - 1)
        reached = np.asarray(info["reached"], np.intp)
        state = self._lanes, t, reached, self._left(info), info["y"], info["x"]
        return self._policy[state].astype(np.int64), None

    def _solve(self, lanes: npt.NDArray[np.intp], sources: npt.NDArray[np.integer]) -> None:
        good, harmful = layout(sources[lanes], self.params.size, bool(self._harm))
        _, policy = solve(good, harmful, self._lives, self._stakes)
        self._policy[lanes] = np.moveaxis(policy, 3, 0)

    def _left(self, info: Mapping[str, Any]) -> npt.NDArray[np.intp]:
        """Harmful arrivals that each lane would survive; none where only a reset option makes a source harmful."""
        integrity = np.maximum(info["integrity_units"], 1)
        left = (integrity - 1) // max(self._harm, 1)
        return np.minimum(left, self._lives - 1)


def layout(
    sources: npt.NDArray[np.integer], size: tuple[int, int], harm: bool
) -> tuple[Counts, Counts]:
    """Good and harmful active sources on each cell, each ``int16[B, H, W]``, of ``sources`` ``[B, K, 4]``."""
    width, height = size
    counts = np.zeros((2, len(sources), height, width), np.int16)
    x, y, harmful, active = np.moveaxis(sources, -1, 0)
    lanes = np.arange(len(sources))[:, None]
    np.add.at(counts, (harmful, lanes, y, x), active.astype(np.int16))
    return counts[0], counts[1] * harm
