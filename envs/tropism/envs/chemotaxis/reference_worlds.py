"""The pressures beyond the origin's world, levels L1.2 to L5.0, and development, for one environment.

Each mechanism is a method or two; a level uses those that its parameters ask for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tropism.envs.chemotaxis.copies import Copies
from tropism.envs.chemotaxis.facts_worlds import passing_facts, still_facts
from tropism.envs.chemotaxis.observation import STAY, UP
from tropism.envs.chemotaxis.params import FAMILY, UNIT, Params, units
from tropism.envs.chemotaxis.reference import Reference
from tropism.envs.chemotaxis.reference_clocks import Storms, Switch
from tropism.envs.chemotaxis.reference_layout import (
    OUTSIDE,
    draw_family,
    draw_quadrant,
    draw_shelter,
    draw_walls,
    draw_zones,
    inside,
    walled,
)
from tropism.envs.chemotaxis.senses import Senses
from tropism.envs.chemotaxis.senses_worlds import WorldSenses
from tropism.envs.chemotaxis.streams import MOTOR, chance
from tropism.envs.chemotaxis.tables import growth, wall_columns
from tropism.envs.core.random import Key, below, bits

_NO_MEAL = 0, 0, 0


class WorldReference(Reference):
    """A world with any of the mechanisms.

    Attributes besides those of :class:`~tropism.envs.chemotaxis.reference.Reference`:
        hydration: in [0, 6400]; stays full where it is no need.
        beside: the cells above, below, left and right of each cell; ``OUTSIDE`` beyond the border.
        walls: ``(column, row of the gap)`` of each.
        blocked: where nobody can go: cells inside walls, and ``OUTSIDE``.
        zones: upper left corner of each zone.
        zoned: cells inside zones.
        shelter: upper left corner of the shelter.
        quadrant: where all sources are, 0 to 3.
        family: which of the choices of ``FAMILY`` this episode drew.
        storms, switch: clocks of what comes and goes.
        paid: units gained so far that were paid for; ``payoff``: points of gain of the last step.
    """

    def __init__(self, params: Params) -> None:
        super().__init__(params)
        self._growth = [table.tolist() for table in growth(params)]
        self._last_row = len(self._growth[0]) - 1
        self._brine = units(params.brine_cost)
        self.thirsty = params.thirsty
        self._thirst = units(params.hydration_decay)
        self._kinds = [params.kinds[n] for n in params.kind_of]
        self._gated = bool(params.development and params.development.motor)
        self.beside = [
            tuple(OUTSIDE if there == cell else there for there in around)
            for cell, around in enumerate(zip(*self._targets[UP:], strict=True))
        ]
        self._columns = wall_columns(params).tolist() if params.walls else []
        self.storms, self.switch = Storms(params), Switch(params)
        self.passing = bool(
            params.thirsty or params.storms or params.switch or params.layout_period
        )
        self._drains, self._ticks = (
            bool(params.zones) or params.storms,
            bool(params.switch) or params.storms,
        )
        self._wants_more = params.thirsty or params.switch == "goal"

    def _make_senses(self) -> Senses:
        return WorldSenses(self.params)

    # -- an episode -----------------------------------------------------------------------------------------

    def _lay_out(self, key: Key, episode: int, options: Mapping[str, Any]) -> None:
        params = self.params
        self.hydration = options.get("hydration", UNIT)
        self.paid = self.payoff = 0
        self.walls = draw_walls(self.key, params, self._columns)
        self.blocked = walled(self.walls, params)
        self.zones = draw_zones(self.key, params)
        self.zoned = inside(self.zones, params) if self.zones else set()
        self.shelter = draw_shelter(self.key, params) if params.storms else (0, 0)
        self.quadrant = draw_quadrant(key, episode, params) if params.layout_period else 0
        if params.family:
            self._choose(draw_family(self.key))
        if self._ticks:
            self.storms.reset(self.key)
            self.switch.reset(self.key)
        self.still = [(name, Copies.of(array)) for name, array in still_facts(self).items()]

    def _choose(self, family: tuple[int, ...]) -> None:
        """Live in this world of the family."""
        self.family = family
        self._delay = self._harmful_delay = int(FAMILY["respawn_delay"][family[2]])
        self.senses.dropout = chance(FAMILY["gradient_dropout"][family[1]])

    def _draw_cell(self, word: int) -> int:
        """A uniform cell of the quadrant in use; from a wall it moves to the next column."""
        params = self.params
        if params.layout_period:
            wide, high = params.width // 2, params.height // 2
            y, x = divmod(below(word, wide * high), wide)
            x += (params.width - wide) * (self.quadrant & 1)
            y += (params.height - high) * (self.quadrant >> 1)
            return y * params.width + x
        cell = super()._draw_cell(word)
        return cell + (cell in self.blocked)

    # -- a step ---------------------------------------------------------------------------------------------

    def step(self, action: int) -> int:
        """Move, meet sources, digest, suffer; return the points (1/128 of reward) of the step."""
        if self._gated:
            action = self._carried_out(action)
        before = self.cell
        cell = self._targets[action][before]
        self.cell = cell = before if cell in self.blocked else cell
        self.t += 1
        self.gained = self.lost = self.payoff = 0
        self._meal = _NO_MEAL
        points = self._alive_points
        if cell in self.here:
            points += self._meet(self.here[cell], arrived=cell != before)
        elif self._missing:
            self._reappear(())
        if self._drains:
            self.lost += self._drained()
        if self.lost:
            self._suffer()
        if self._meal is _NO_MEAL:
            energy = self.energy - self._decay
            self.energy = energy if energy > 0 else 0
            if self.thirsty:
                self.hydration = max(self.hydration - self._thirst, 0)
        else:
            self.payoff = self._digest(*self._meal)
        self.event = self.gained - self.lost
        if not (self.energy and self.hydration and self.integrity):
            self.ended = True
        if self._ticks:
            self._tick()
        self.score += points + self.payoff
        return points + self.payoff

    def _tick(self) -> None:
        """Let the clocks run."""
        if self.switch.advance(self.t):
            self._sources_changed()
        self.storms.advance(self.t)

    def _carried_out(self, action: int) -> int:
        """What becomes of ``action`` in a young organism, which may fail to move."""
        word = bits(self.key, self.t, MOTOR)
        return action if word >> 1 < self._growth[5][min(self.t, self._last_row)] else STAY

    @property
    def row(self) -> int:
        """Row of the tables of growth that the present step goes by."""
        return min(self.t - 1, self._last_row)

    def harms(self, k: int) -> bool:
        """Whether source ``k`` does harm now: by nature, or out of season."""
        if self.params.switch != "season":
            return self.harmful[k]
        return self.harmful[k] or self.params.kind_of[k] != self.switch.side

    def _arrive(self, good: list[int], bad: list[int]) -> int:
        """Note the meal that ``good`` sources offer, and suffer from ``bad`` ones; digestion comes later."""
        energy_gain, water_gain, harm = (table for table in self._growth[:3])
        self.good_arrivals += len(good)
        self.bad_arrivals += len(bad)
        self.lost = len(bad) * harm[self.family[3]][self.row]
        energy = water = spent = 0
        for kind in [self._kinds[k] for k in good]:
            if kind in ("water", "brine"):
                water += water_gain[self.row]
                spent += self._brine * (kind == "brine")
            else:
                energy += energy_gain[self.row]
        self._meal = energy, water, spent
        return 0

    def _drained(self) -> int:
        """Integrity that zones and storms take on this cell."""
        lost = 0
        if self.cell in self.zoned:
            lost += self._growth[3][self.row]
        if self.params.storms and self.storms.raging(self.t) and not self._sheltered():
            lost += self._growth[4][self.row]
        return lost

    def _sheltered(self) -> bool:
        y, x = divmod(self.cell, self.params.width)
        (left, top), (wide, high) = self.shelter, self.params.shelter_size
        return 0 <= x - left < wide and 0 <= y - top < high

    def _digest(self, energy: int, water: int, spent: int) -> int:
        """Metabolism with what a meal offers of both needs and costs of the first; return the points of the gain."""
        self.energy, energy = self._absorb(self.energy - self._decay - spent, energy)
        if self.thirsty:
            self.hydration, water = self._absorb(self.hydration - self._thirst, water)
        else:
            water = 0
        self.gained = energy + water
        if not self.gained:
            return 0
        self.energy_gained += self.gained
        paid = self.gained
        if self.params.switch == "goal":
            paid = water if self.switch.side else energy
        before = self._gain_points(self.paid)
        self.paid += paid
        return self._gain_points(self.paid) - before

    def _absorb(self, level: int, offered: int) -> tuple[int, int]:
        """A need after a meal, and what was gained: where there are two needs, only what the body could hold."""
        full = level + offered
        if full <= UNIT:
            return full if full > 0 else 0, offered
        return UNIT, offered - (full - UNIT) if self.thirsty else offered

    # -- what is true ---------------------------------------------------------------------------------------

    def drive(self) -> int:
        """Sum of the squared distances of the needs from 1; with a hidden goal, of the need that pays and integrity."""
        hunger, wounds = UNIT - self.energy, UNIT - self.integrity
        if not self._wants_more:
            return hunger * hunger + wounds * wounds
        thirst = UNIT - self.hydration
        if self.params.switch == "goal":
            hunger, thirst = (0, thirst) if self.switch.side else (hunger, 0)
        return hunger * hunger + thirst * thirst + wounds * wounds

    def tell_passing(self, found: dict[str, Any]) -> None:
        """Add labels of mechanisms that come and go."""
        found.update(passing_facts(self))


def make_reference(params: Params) -> Reference:
    """The reference dynamics of ``params``."""
    return Reference(params) if params.plain else WorldReference(params)
