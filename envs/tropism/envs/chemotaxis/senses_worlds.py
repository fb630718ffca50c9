"""What the organism of a reference world beyond L1.1 senses: more gradients, walls, zones, cues and its pay."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Any

from tropism.envs.chemotaxis.observation import gradients
from tropism.envs.chemotaxis.params import POINT, Params
from tropism.envs.chemotaxis.senses import Row, Senses

if TYPE_CHECKING:
    from tropism.envs.chemotaxis.reference_worlds import WorldReference


class WorldSenses(Senses):
    """The senses of any world.  Those that a level lacks have no channel."""

    def __init__(self, params: Params) -> None:
        super().__init__(params)
        self._last_row = len(self._tables[0]) - 1
        self._kinds, self._storms = range(len(params.kinds)), params.storms
        self._thirsty = params.thirsty
        self._walls, self._zones = bool(params.walls), bool(params.zones)
        self._touches = self._walls or self._zones
        self._smelt = len(gradients(params))
        self._no_smell = array("f", bytes(4 * self._smelt))
        self._unknown_goal = params.switch == "goal"
        self._notices = params.storms or self._unknown_goal

    def observe(self, world: Any) -> Row:
        """A fresh observation, ``float32[channels]``."""
        felt = self._felt.get(world.cell)
        if felt is None:
            felt = self._feel(world)
            if not self._last_row:  # else the sense of smell grows, and nothing can be kept
                self._felt[world.cell] = felt
        at = self._next
        if at == len(self._numbers):
            at = self._renew()
        self._next = at + self._channels
        numbers, end = self._numbers, at + len(felt)
        numbers[at:end] = felt
        if self.dropout and self._is_dark(world):
            numbers[at : at + self._smelt] = self._no_smell
        if self._notices:
            for number in self._noticed(world):
                numbers[end] = number
                end += 1
        numbers[end] = self._levels[world.energy]
        if self._thirsty:
            end += 1
            numbers[end] = self._levels[world.hydration]
        numbers[end + 1] = self._levels[world.integrity]
        row = next(self._rows)
        return row if self._noise is None else row + self._noise_of(world)

    def _feel(self, world: Any) -> Any:
        """What this cell shows of sources, shelter, walls and zones."""
        felt = self._smell(world)
        if self._touches:
            felt += self._touch(world)
        return array("f", felt)

    def _smell(self, world: WorldReference) -> list[float]:
        """Directions to the nearest source of each kind, and to the shelter."""
        nth = min(max(world.t - 1, 0), self._last_row) if self._last_row else 0
        x, y = self._x[nth], self._y[nth]
        felt: list[float] = []
        for kind in self._kinds:
            dx, dy = self._nearest(world, kind)
            felt += (x[dx], y[dy])
        if self._storms:
            dx, dy = self._way_to_shelter(world)
            felt += (x[dx], y[dy])
        return felt

    def _way_to_shelter(self, world: WorldReference) -> tuple[int, int]:
        y, x = divmod(world.cell, self.params.width)
        (left, top), (wide, high) = world.shelter, self.params.shelter_size
        return min(max(x, left), left + wide - 1) - x, min(max(y, top), top + high - 1) - y

    def _touch(self, world: WorldReference) -> list[float]:
        """Walls and the border on the four sides; zones here and there."""
        here, blocked, zoned = world.cell, world.blocked, world.zoned
        up, down, left, right = around = world.beside[here]
        # Written out, because a comprehension takes twice as long.
        stops: list[float] = [up in blocked, down in blocked, left in blocked, right in blocked]
        if not self._zones:
            return stops
        sides = zip(around, stops, strict=True)
        felt: list[float] = [here in zoned, *(there in zoned and not stop for there, stop in sides)]
        return stops + felt if self._walls else felt

    def _noticed(self, world: Any) -> tuple[float, ...]:
        """What changes by itself: cue, storm, and the pay of the last step."""
        storms, t = world.storms, world.t
        weather = (float(storms.cue(t)), float(storms.raging(t))) if self._storms else ()
        return (*weather, world.payoff / POINT) if self._unknown_goal else weather
