"""Memoryless players: what can be had without remembering anything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from tropism.envs.chemotaxis.observation import DOWN, LEFT, RIGHT, STAY, UP, channels
from tropism.envs.chemotaxis.params import Params
from tropism.envs.core.baselines import Baseline, LaneRandom

Array = npt.NDArray[Any]
Ints = npt.NDArray[np.intp]
Bools = npt.NDArray[np.bool_]
_SIDES = {UP: "up", DOWN: "down", LEFT: "left", RIGHT: "right"}
_OPPOSITE = np.array([STAY, DOWN, UP, RIGHT, LEFT])
_ACROSS = np.array([STAY, LEFT, LEFT, UP, UP])
"""One of the two steps at a right angle to a step; the other is its opposite."""


CRITICAL = 0.3
RICH = 0.6
"""Levels of a need; the best of .2, .3, .4, .5 on L2.0 and of .3, .4, .5, .6 on L2.1."""


class Stay(Baseline):
    """Never moves."""

    def __init__(self, params: Params, num_lanes: int) -> None:  # noqa: ARG002  every world is alike to it
        super().__init__(num_lanes)

    def act(
        self,
        observation: Any,  # noqa: ARG002  it does not look
        info: Mapping[str, Any],  # noqa: ARG002  the same
    ) -> tuple[Array, None]:
        """Actions ``int64[B]``."""
        return np.full(self.num_lanes, STAY, np.int64), None


class Greedy(Baseline):
    """The best simple rule found that remembers nothing: follow the gradient.

    * L0.0 to L1.1: the origin's rule, which stays where there is no gradient.  That is its only fault on L0.0 and
      L0.1, which need no memory: one that steps off there, unless it is hurt, scores 206.0 and 206.4 (and 167.9 on
      L0.2; 5120 lives).  Where sources are sensed from nearby only (``sensing_range``) it walks at random instead.
    * Of several kinds it follows the nearest; where a need is below :data:`CRITICAL`, what is needed most.  Brine is
      a drink for it only while energy is above :data:`RICH`.
    * What is blocked, or drains, it goes round: along the other component of the gradient, else to a random side.
    * While a cue or a storm is to be seen it goes to the shelter.
    """

    def __init__(self, params: Params, num_lanes: int) -> None:
        super().__init__(num_lanes)
        self.params = params
        self._channel = {name: n for n, name in enumerate(channels(params))}
        self._random = LaneRandom(num_lanes)

    def reset(self, mask: Bools, seeds: npt.NDArray[np.uint64]) -> None:
        """Begin an episode in the lanes of ``mask``."""
        self._random.reset(mask, seeds)

    def act(
        self,
        observation: Any,
        info: Mapping[str, Any],  # noqa: ARG002  labels are for the oracle
    ) -> tuple[Array, None]:
        """Actions ``int64[B]``."""
        seen = np.asarray(observation)
        gx, gy = self._direction(seen)
        action = step_towards(gx, gy)
        if self.params.sensing_range:
            words = self._random.words()
            action = np.where(action == STAY, 1 + (words >> np.uint32(30)), action)
        if self.params.walls or self.params.zones:
            action = self._go_round(seen, gx, gy, action)
        return action.astype(np.int64), None

    def _direction(self, seen: Array) -> tuple[Array, Array]:
        """The gradient to follow."""
        gradients = {kind: self._gradient(seen, kind) for kind in self.params.kinds}
        follow = self._neediest(seen, gradients)
        if self.params.storms:
            danger = np.maximum(self._see(seen, "cue"), self._see(seen, "storm")) > 0.5
            follow = np.where(danger, self._gradient(seen, "shelter"), follow)
        return follow[0], follow[1]

    def _neediest(self, seen: Array, gradients: Mapping[str, Array]) -> Array:
        """The nearest source of any kind, but what is needed most where a need is low."""
        if not self.params.thirsty:
            return nearest(*gradients.values())
        energy, hydration = self._see(seen, "energy"), self._see(seen, "hydration")
        food, drink = gradients["food"], gradients["water"]
        if "brine" in gradients:
            drink = np.where(energy > RICH, nearest(drink, gradients["brine"]), drink)
        first = np.where(energy <= hydration, food, drink)
        second = np.where(energy <= hydration, drink, food)
        neediest = np.where((first == 0).all(0), second, first)
        low = np.minimum(energy, hydration) < CRITICAL
        return np.where(low, neediest, nearest(food, drink))

    def _see(self, seen: Array, channel: str) -> Array:
        return seen[:, self._channel[channel]]

    def _gradient(self, seen: Array, target: str) -> Array:
        """Both components ``[2, B]``."""
        return np.stack([self._see(seen, f"{target}_x"), self._see(seen, f"{target}_y")])

    def _go_round(self, seen: Array, gx: Array, gy: Array, action: Ints) -> Ints:
        """The first step that nothing speaks against: ahead, along the other component, to a side, back."""
        blocked = self._against(seen)
        along_x = np.abs(gx) >= np.abs(gy)
        aside = step_towards(np.where(along_x, 0, gx), np.where(along_x, gy, 0))
        aside = np.where(aside == STAY, action, aside)
        coin = self._random.words() >> np.uint32(31)
        side = np.where(coin, _ACROSS[action], _OPPOSITE[_ACROSS[action]])
        chosen = np.full(self.num_lanes, STAY)
        for step in (_OPPOSITE[action], _OPPOSITE[side], side, aside, action):
            free = ~blocked[step, np.arange(self.num_lanes)]
            chosen = np.where(free, step, chosen)
        return chosen

    def _against(self, seen: Array) -> Bools:
        """Whether something speaks against each action, ``bool[5, B]``."""
        against = np.zeros((5, self.num_lanes), bool)
        for action, side in _SIDES.items():
            for sense in ("blocked", "zone"):
                if f"{sense}_{side}" in self._channel:
                    against[action] |= self._see(seen, f"{sense}_{side}") > 0.5
        if self.params.zones:
            against[STAY] = self._see(seen, "zone_here") > 0.5
        return against


def nearest(*gradients: Array) -> Array:
    """The shortest of some gradients, each ``[2, B]``, the first of equally short ones; zeros are no gradient."""
    stacked = np.stack(gradients)
    length = (stacked**2).sum(1)
    first = np.where(length > 0, length, np.inf).argmin(0)
    return np.take_along_axis(stacked, first[None, None], 0)[0]


def step_towards(gx: Array, gy: Array) -> Ints:
    """The step along the longer component of a direction, x if they are equal; STAY without a direction."""
    along_x = np.where(gx < 0, LEFT, RIGHT)
    along_y = np.where(gy < 0, UP, DOWN)
    step = np.where(np.abs(gx) >= np.abs(gy), along_x, along_y)
    return np.where((gx == 0) & (gy == 0), STAY, step)
