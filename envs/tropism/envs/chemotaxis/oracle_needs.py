"""A planner for worlds with two needs: it compares routes over several sources."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tropism.envs.chemotaxis.baselines_reactive import step_towards
from tropism.envs.chemotaxis.observation import LEFT, RIGHT
from tropism.envs.chemotaxis.params import UNIT, Params, units
from tropism.envs.core.baselines import Baseline

Array = npt.NDArray[Any]
Pays = Callable[[Array], tuple[Any, Any]]
WORTH = 50.0
LOW = 0.2
"""A need at level ``l`` is worth ``-WORTH exp(-l / LOW)`` of reward: it presses where death is near."""
DEAD = -1e9
"""Worth of a route on which the organism dies, or that does not exist."""


class Route(NamedTuple):
    """What a route leaves, arrays of one shape: levels in units, steps and reward so far, whether it can be gone."""

    energy: Array
    water: Array
    steps: Array
    reward: Array
    possible: Array


class NeedsPlanner(Baseline):
    """Takes the first step of the route on which reward and the state of its needs rise fastest.

    A planner, not exact: it compares routes over one or two sources that are there (a third would be worth one per
    cent of the score), and does not foresee where sources will appear again.
    """

    privileged = True

    def __init__(self, params: Params, num_lanes: int) -> None:
        super().__init__(num_lanes)
        self.params = params
        kinds = [params.kinds[n] for n in params.kind_of]
        gain, drink, cost = map(
            units, (params.energy_gain, params.hydration_gain, params.brine_cost)
        )
        self._food = np.array([gain if kind == "food" else 0 for kind in kinds])
        self._drink = np.array([0 if kind == "food" else drink for kind in kinds])
        self._cost = np.array([cost if kind == "brine" else 0 for kind in kinds])
        self._decay = params.energy_decay_units, units(params.hydration_decay)
        self._lanes = np.arange(num_lanes)

    def act(self, observation: Any, info: Mapping[str, Any]) -> tuple[Array, None]:  # noqa: ARG002  it is told
        """Actions ``int64[B]``."""
        x, y = np.asarray(info["x"]), np.asarray(info["y"])
        sources = np.asarray(info["sources"])
        worth = self._worth_of_first(info, sources, x, y)
        first = sources[self._lanes, worth.argmax(1)]
        nowhere = worth.max(1) <= DEAD
        dx = np.where(nowhere, self.params.width // 2, first[:, 0]) - x
        dy = np.where(nowhere, self.params.height // 2, first[:, 1]) - y
        off = np.where(x > 0, LEFT, RIGHT)  # to come back to a source that appeared where it stands
        arrived = (dx == 0) & (dy == 0) & ~nowhere
        return np.where(arrived, off, step_towards(dx, dy)).astype(np.int64), None

    def _worth_of_first(self, info: Mapping[str, Any], sources: Array, x: Array, y: Array) -> Array:
        """Worth of the best route that begins with each source, ``float64[B, K]``."""
        at, there = sources[..., :2], sources[..., 3] == 1
        away = np.abs(at - np.stack([x, y], -1)[:, None]).sum(-1)
        between = np.abs(at[:, :, None] - at[:, None]).sum(-1)
        start = self._start(info)
        pays = self._pays(info)
        one = self._extend(start, np.where(away == 0, 2, away), there, pays)
        others = there[:, None] & ~np.eye(there.shape[1], dtype=bool)
        two = self._extend(Route(*(part[..., None] for part in one)), between, others, pays)
        before = state(start)
        return np.maximum(rate(one, before), rate(two, before[..., None]).max(-1))

    def _start(self, info: Mapping[str, Any]) -> Route:
        """The route of no step, each part ``[B, 1]``."""
        energy = np.asarray(info["energy_units"], np.float64)[:, None]
        water = np.asarray(info["hydration_units"], np.float64)[:, None]
        return Route(energy, water, np.zeros_like(energy), np.zeros_like(energy), energy > 0)

    def _extend(self, route: Route, steps: Array, there: Array, pays: Pays) -> Route:
        """The routes that go on to each source, along a new last axis."""
        energy = route.energy - self._decay[0] * steps
        water = route.water - self._decay[1] * steps
        possible = route.possible & there & (energy > -self._decay[0]) & (water > -self._decay[1])
        fed = np.minimum(energy - self._cost + self._food, UNIT)
        drunk = np.minimum(water + self._drink, UNIT)
        time = route.steps + steps
        pay_energy, pay_water = pays(time)
        gained = pay_energy * (fed - energy + self._cost) + pay_water * (drunk - water)
        reward = route.reward + self.params.gain_weight / UNIT * gained
        return Route(fed, drunk, time, reward, possible & (fed > 0) & (drunk > 0))

    def _pays(self, info: Mapping[str, Any]) -> Pays:
        """Whether energy and hydration gained at a time from now are paid for."""
        if self.params.switch != "goal":
            return lambda time: (1.0, 1.0)  # noqa: ARG005  always
        side, left = np.asarray(info["goal"]), np.asarray(info["switch_in"])

        def pays(time: Array) -> tuple[Array, Array]:
            shape = (-1,) + (1,) * (time.ndim - 1)
            water = (side.reshape(shape) == 1) ^ (time > left.reshape(shape))
            return 1.0 - water, 1.0 * water

        return pays


def state(route: Route) -> Array:
    """Worth of the needs that a route leaves."""
    return -WORTH * (np.exp(-route.energy / (LOW * UNIT)) + np.exp(-route.water / (LOW * UNIT)))


def rate(route: Route, before: Array) -> Array:
    """Reward and rise of the needs a step, :data:`DEAD` for what cannot be gone."""
    return np.where(route.possible, (route.reward + state(route) - before) / route.steps, DEAD)
