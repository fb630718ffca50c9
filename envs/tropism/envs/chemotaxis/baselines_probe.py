"""The probe controller: three lines of memory turn the gradient into a search for the good source.

It sees what any agent sees, and knows of the task only the size of the grid, the start and whether sources
disappear.  A hand-written bar for learners: no memoryless player can do it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from tropism.envs.chemotaxis.baselines_reactive import step_towards
from tropism.envs.chemotaxis.observation import DOWN, LEFT, MOVES, RIGHT, STAY, UP, channels
from tropism.envs.chemotaxis.params import FAMILY, Params
from tropism.envs.core.baselines import Baseline

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.intp]
_DX, _DY = np.array(MOVES).T
_BACK = np.array([STAY, DOWN, UP, RIGHT, LEFT])
_CLOCKWISE = np.array([STAY, RIGHT, LEFT, UP, DOWN])


class Probe(Baseline):
    """Probes sources, remembers the bad ones, camps at a good one.

    It follows the gradient.  Where integrity fell it remembers the place as bad, and while a bad place is the
    nearest source it walks straight on, turning at the border (back on a line, else clockwise), until another
    source is nearest.  Where an arrival did not hurt it stays for good, stepping off and on, if sources last.
    Once another harm would kill it avoids known bad places, and rests if sources move about.

    Positions are dead reckoning from the start, so the gradient must be adult and free of noise, and reset
    options must not move the organism.
    """

    def __init__(self, params: Params, num_lanes: int) -> None:
        super().__init__(num_lanes)
        self.params = params
        names = channels(params)
        self._channels = [names.index(f"{params.kinds[0]}_{axis}") for axis in "xy"]
        self._integrity_channel = names.index("integrity")
        line = 1 in params.size
        self._turn = _BACK if line else _CLOCKWISE
        self._first_heading = DOWN if params.width == 1 else RIGHT
        self._lanes = np.arange(num_lanes)
        self._x, self._y = np.zeros((2, num_lanes), np.intp)
        self._heading = np.full(num_lanes, self._first_heading)
        self._integrity, self._worst = np.ones(num_lanes), np.zeros(num_lanes)
        self._least = min(FAMILY["harm"]) if params.family else params.harm
        self._bad = np.zeros((num_lanes, params.height, params.width), bool)
        self._camp = np.zeros((num_lanes, 2), np.intp)
        self._camping, self._moved = np.zeros((2, num_lanes), bool)
        self._fresh = np.ones(num_lanes, bool)

    def reset(self, mask: Bools, seeds: npt.NDArray[np.uint64]) -> None:  # noqa: ARG002  nothing is random
        """Begin an episode in the lanes of ``mask``."""
        self._fresh |= mask

    def act(
        self,
        observation: Any,
        info: Mapping[str, Any],  # noqa: ARG002  labels are for the oracle
    ) -> tuple[npt.NDArray[Any], None]:
        """Actions ``int64[B]``."""
        seen = np.asarray(observation)
        integrity = seen[:, self._integrity_channel]
        self._begin(integrity)
        extents = [max(n - 1, 1) for n in self.params.size]
        gx, gy = np.rint(seen[:, self._channels] * extents).astype(np.intp).T
        hurt = self._feel(integrity)
        self._settle(~hurt & (gx == 0) & (gy == 0))
        action = self._walk(gx, gy)
        return self._move(action).astype(np.int64), None

    def _begin(self, integrity: npt.NDArray[np.floating]) -> None:
        new = self._fresh
        self._x[new], self._y[new] = self.params.start
        self._heading[new] = self._first_heading
        self._integrity[new], self._worst[new] = integrity[new], 0.0
        self._bad[new] = self._camping[new] = self._moved[new] = False
        self._fresh = np.zeros(self.num_lanes, bool)

    def _feel(self, integrity: npt.NDArray[np.floating]) -> Bools:
        """Remember where it hurt, and how much."""
        lost = self._integrity - integrity
        hurt = lost > self._least / 2
        self._bad[self._lanes[hurt], self._y[hurt], self._x[hurt]] = True
        self._worst = np.maximum(self._worst, np.where(hurt, lost, 0.0))
        self._integrity = np.array(integrity, np.float64)
        return hurt

    def _settle(self, pleasant: Bools) -> None:
        """Camp where an arrival did not hurt."""
        known_bad = self._bad[self._lanes, self._y, self._x]
        found = pleasant & self._moved & ~known_bad & ~self._camping
        if not self.params.deplete:
            self._camp[found] = np.stack([self._x, self._y], -1)[found]
            self._camping |= found

    def _walk(self, gx: Ints, gy: Ints) -> Ints:
        """Towards the camp or the nearest source; straight on when there, or when it is known to be bad."""
        width, height = self.params.size
        x, y = np.clip(self._x + gx, 0, width - 1), np.clip(self._y + gy, 0, height - 1)
        avoid = self._bad[self._lanes, y, x] & ~self._camping
        gx = np.where(self._camping, self._camp[:, 0] - self._x, gx)
        gy = np.where(self._camping, self._camp[:, 1] - self._y, gy)
        self._look_ahead()
        straight = avoid | ((gx == 0) & (gy == 0))
        return self._beware(np.where(straight, self._heading, step_towards(gx, gy)))

    def _look_ahead(self) -> None:
        """Turn until the border is not in the way, nor a bad place beside the camp."""
        for _ in range(4):
            border, bad = self._ahead(self._heading)
            turn = border | (self._camping & bad)
            self._heading = np.where(turn, self._turn[self._heading], self._heading)

    def _beware(self, action: Ints) -> Ints:
        """Avoid what would be the last harm, if it is as bad as the worst so far."""
        last = self._integrity < 1.5 * self._worst
        avoid = self._ahead(action)[1] | self.params.deplete
        return np.where(last & avoid, STAY, action)

    def _ahead(self, action: Ints) -> tuple[Bools, Bools]:
        """Whether ``action`` pushes against the border, and whether it leads to a place known to be bad."""
        width, height = self.params.size
        x, y = self._x + _DX[action], self._y + _DY[action]
        border = (x < 0) | (x >= width) | (y < 0) | (y >= height)
        inside = self._lanes, np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)
        return border, self._bad[inside]

    def _move(self, action: Ints) -> Ints:
        """Keep count of the position."""
        width, height = self.params.size
        self._moved = action != STAY
        self._heading = np.where(self._moved, action, self._heading)
        self._x = np.clip(self._x + _DX[action], 0, width - 1)
        self._y = np.clip(self._y + _DY[action], 0, height - 1)
        return action
