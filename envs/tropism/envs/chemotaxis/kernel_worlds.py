"""The pressures beyond the origin's world, levels L1.2 to L5.0, and development, for a batch.

``WorldKernel`` follows ``reference_worlds.py``; what a level does not use is left out when the code is traced.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tropism.envs.chemotaxis.kernel import Kernel
from tropism.envs.chemotaxis.kernel_clocks import ClockKernel
from tropism.envs.chemotaxis.kernel_state import State
from tropism.envs.chemotaxis.observation import MOVES, STAY
from tropism.envs.chemotaxis.params import FAMILY, POINT, UNIT, Params, units
from tropism.envs.chemotaxis.streams import MOTOR, chance
from tropism.envs.chemotaxis.tables import family_values, growth


class WorldKernel(ClockKernel):
    """A world with any of the mechanisms."""

    def __init__(self, xp: Any, params: Params) -> None:
        super().__init__(xp, params)
        self._growth = growth(params)
        self._rows = len(self._growth.energy_gain)
        kinds = np.array(params.kinds)[list(params.kind_of)]
        self._gives_water = np.isin(kinds, ("water", "brine"))
        self._is_brine = kinds == "brine"
        self._season = np.array(params.kind_of, np.int32)

    def _lay_out(self, state: State, forced: Mapping[str, Any]) -> State:
        return self._wind(super()._lay_out(state, forced))

    # -- a step ---------------------------------------------------------------------------------------------

    def _move(self, state: State, action: Any) -> tuple[Any, Any]:
        """The cell that ``action`` leads to; a young organism may fail to move, and walls stop it."""
        if self.params.development and self.params.development.motor:
            word = self.hash.bits(state.draw, state.t, MOTOR) >> self.xp.uint32(1)
            able = word < self._grown(self._growth.motor, state.t)
            action = self.xp.where(able, action, STAY)
        return self._target(state, action)

    def _target(self, state: State, action: Any) -> tuple[Any, Any]:
        """Where a move leads that is carried out; border and walls stop it."""
        x, y = super()._move(state, action)
        if not self.params.walls:
            return x, y
        stopped = self._in_wall(x, y, state.wall_x, state.wall_gap)
        return self.xp.where(stopped, state.x, x), self.xp.where(stopped, state.y, y)

    def _grown(self, table: Any, t: Any) -> Any:
        """The entry of a table of development for step ``t`` (counted from 0)."""
        return table[0] if self._rows == 1 else self._look_up(table, t)

    def _harms(self, state: State) -> Any:
        """Which sources do harm now: by nature, or out of season."""
        if self.params.switch != "season":
            return state.harmful
        return state.harmful | (self._season != state.side[..., None])

    def _delays(self, state: State, harms: Any) -> Any:
        if not self.params.family:
            return super()._delays(state, harms)
        delays = np.array(FAMILY["respawn_delay"], np.int32)
        return self._look_up(delays, state.family[..., 2])[..., None]

    def _live(self, state: State, fed: Any, hurt: Any) -> State:
        """Digest, suffer, keep the score, and let the clocks run."""
        num_bad, row = self._count(hurt), state.t - 1
        lost = num_bad * self._harm_of(state, row) + self._drained(state, row)
        state, gained, paid = self._digest(state, fed, row)
        state = state._replace(
            good_arrivals=state.good_arrivals + self._count(fed),
            bad_arrivals=state.bad_arrivals + num_bad,
            energy_gained=state.energy_gained + gained,
        )
        if self.params.switch == "goal":
            before, total = state.paid, state.paid + paid
            numerator, denominator = self.params.gain_points
            payoff = total * numerator // denominator - before * numerator // denominator
            state = state._replace(paid=total, payoff=payoff)
        else:
            total = state.energy_gained
        return self._tick(self._settle(state, gained, lost, total))

    def _harm_of(self, state: State, row: Any) -> Any:
        """Units that a harmful source takes."""
        if not self.params.family:
            return self._grown(self._growth.harm[0], row)
        row = self.xp.minimum(row, self._rows - 1)
        return self._look_up(self._growth.harm.reshape(-1), state.family[..., 3] * self._rows + row)

    def _drained(self, state: State, row: Any) -> Any:
        """Integrity that zones and storms take on this cell."""
        lost = self._one * 0
        if self.params.zones:
            inside = self._in_zone(state, state.x, state.y)
            lost = inside * self._grown(self._growth.zone_drain, row)
        if self.params.storms:
            dx, dy = self._way_to_shelter(state)
            exposed = self._raging(state) & ((dx != 0) | (dy != 0))
            lost = lost + exposed * self._grown(self._growth.storm_drain, row)
        return lost

    def _digest(self, state: State, fed: Any, row: Any) -> tuple[State, Any, Any]:
        """Metabolism: the state, what was gained, and what of it is paid for."""
        params = self.params
        offered = self._count(fed & ~self._gives_water) * self._grown(self._growth.energy_gain, row)
        level = state.energy - params.energy_decay_units
        if self._is_brine.any():
            level = level - self._count(fed & self._is_brine) * (
                self._one * units(params.brine_cost)
            )
        if not params.thirsty:
            return state._replace(energy=self._clip(level + offered, UNIT)), offered, offered
        energy, food = self._absorb(level, offered)
        offered = self._count(fed & self._gives_water) * self._grown(
            self._growth.hydration_gain, row
        )
        hydration, water = self._absorb(state.hydration - units(params.hydration_decay), offered)
        paid = self.xp.where(state.side == 1, water, food) if params.switch == "goal" else None
        return state._replace(energy=energy, hydration=hydration), food + water, paid

    def _absorb(self, level: Any, offered: Any) -> tuple[Any, Any]:
        """A need after a meal, and what the body could hold of it."""
        full = level + offered
        return self._clip(full, UNIT), offered - self._clip(full - UNIT)

    # -- what is seen of it ---------------------------------------------------------------------------------

    def _dropout(self, state: State) -> Any:
        if not self.params.family:
            return super()._dropout(state)
        chances = np.array([chance(p) for p in FAMILY["gradient_dropout"]], np.uint32)
        return self._look_up(chances, state.family[..., 1])

    def _smelt(self, state: State) -> list[tuple[Any, Any]]:
        sensed, kinds = self._sensed(state), np.array(self.params.kind_of)
        ways = [
            self._nearest(state, sensed if len(self.params.kinds) == 1 else sensed & (kinds == n))
            for n in range(len(self.params.kinds))
        ]
        return [*ways, self._way_to_shelter(state)] if self.params.storms else ways

    def _seen(self, state: State) -> list[Any]:
        """Walls and the border on the four sides, zones here and there, cue and storm, the pay of the last step."""
        seen = self._touched(state) if self.params.walls or self.params.zones else []
        if self.params.storms:
            seen += [self._cue(state), self._raging(state)]
        seen = [flag.astype(self.xp.float32) for flag in seen]
        if self.params.switch == "goal":
            seen.append(state.payoff.astype(self.xp.float32) * self.xp.float32(1 / POINT))
        return seen

    def _touched(self, state: State) -> list[Any]:
        moves = np.arange(1, len(MOVES)).reshape(-1, *[1] * state.t.ndim)
        x, y = self._target(state, moves)  # all four at once, along a new first axis
        stopped = (x == state.x) & (y == state.y)
        touched = [*stopped] if self.params.walls else []
        if self.params.zones:
            touched.append(self._in_zone(state, state.x, state.y))
            touched += [*(self._in_zone(state, x, y) & ~stopped)]
        return touched

    def _needs(self, state: State) -> list[Any]:
        middle = [state.hydration] if self.params.thirsty else []
        return [state.energy, *middle, state.integrity]

    def ended(self, state: State) -> tuple[Any, Any]:
        """Terminated: dead of any need, or at the goal; truncated after ``max_episode_steps``."""
        terminated, truncated = super().ended(state)
        return (
            terminated | (state.hydration <= 0) if self.params.thirsty else terminated
        ), truncated

    def _drive(self, state: State) -> Any:
        hunger, wounds = UNIT - state.energy, UNIT - state.integrity
        if not self.params.thirsty:
            return hunger * hunger + wounds * wounds
        thirst = UNIT - state.hydration
        if self.params.switch == "goal":
            need = self.xp.where(state.side == 1, thirst, hunger)
            return need * need + wounds * wounds
        return hunger * hunger + thirst * thirst + wounds * wounds

    def _numbers(self, state: State) -> dict[str, Any]:
        params, found = self.params, super()._numbers(state)
        if params.thirsty:
            found["hydration_units"] = state.hydration
        if params.storms:
            found |= self._storm_labels(state)
        if params.switch:
            found |= {params.switch: state.side, "switch_in": state.switch_at - state.t}
        if params.layout_period:
            found["quadrant"] = state.quadrant[..., 0]
        return found

    def _layouts(self, state: State) -> dict[str, Any]:
        params, found = self.params, super()._layouts(state)
        if params.walls:
            found["walls"] = self._table([state.wall_x, state.wall_gap])
        if params.zones:
            found["zones"] = self._rectangles(state.zone_x, state.zone_y, params.zone_size)
        if params.storms:
            corner = state.shelter[..., 0], state.shelter[..., 1]
            found["shelter"] = self._rectangles(*corner, params.shelter_size)
        if params.family:
            values = enumerate(family_values())
            found["family"] = self._table(
                [self._look_up(row, state.family[..., n]) for n, row in values]
            )
        return found

    def _rectangles(self, left: Any, top: Any, size: tuple[int, int]) -> Any:
        """``x, y, width, height`` of each."""
        return self._table([left, top, left * 0 + size[0], top * 0 + size[1]])


def make_kernel(xp: Any, params: Params) -> Kernel:
    """The array dynamics of ``params`` over ``xp`` (``numpy`` or ``jax.numpy``)."""
    return (Kernel if params.plain else WorldKernel)(xp, params)
