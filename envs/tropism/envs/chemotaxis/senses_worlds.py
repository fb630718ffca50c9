"""What the organism of a reference world beyond L1.1 senses: more gradients, walls, zones, cues and its pay."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tropism.envs.chemotaxis.observation import DOWN, LEFT, RIGHT, UP, channels, gradients
from tropism.envs.chemotaxis.params import POINT, Params
from tropism.envs.chemotaxis.senses import Row, Senses
from tropism.envs.chemotaxis.tables import gradient_table

if TYPE_CHECKING:
    from tropism.envs.chemotaxis.reference_worlds import WorldReference

_AROUND = (UP, DOWN, LEFT, RIGHT)


class WorldSenses(Senses):
    """The senses of any world.  Those that a level lacks have no channel."""

    def __init__(self, params: Params) -> None:
        super().__init__(params)
        self._tables = [gradient_table(n, params.development, params.steps) for n in params.size]
        self._last_row = len(self._tables[0]) - 1
        self._thirsty = params.thirsty
        self._touches = bool(params.walls or params.zones)
        self._touched: dict[int, list[float]] = {}
        self._smelt = len(gradients(params))
        names = channels(params)
        self._seen = {
            name: names.index(name) for name in ("cue", "storm", "payoff") if name in names
        }

    def observe(self, world: Any) -> Row:
        """A fresh observation, ``float32[channels]``."""
        row = self._view_from(world).copy()
        if self.dropout and self._is_dark(world):
            row[: self._smelt] = 0.0
        if self._seen:
            self._notice(world, row)
        row[-1] = self._levels[world.integrity]
        if self._thirsty:
            row[-2] = self._levels[world.hydration]
            row[-3] = self._levels[world.energy]
        else:
            row[-2] = self._levels[world.energy]
        return row if self._noise is None else row + self._noise_of(world)

    def _view_from(self, world: WorldReference) -> Row:
        """What the cell shows; kept while nothing changes, and not at all while the sense of smell grows."""
        if self._last_row:
            return self._view(world)
        view = self._views.get(world.cell)
        if view is None:
            view = self._views[world.cell] = self._view(world)
        return view

    def _view(self, world: Any) -> Row:
        row = self._blank.copy()
        felt = self._smell(world)
        if self._touches:
            felt += self._touched_at(world)
        row[: len(felt)] = felt
        return row

    def _smell(self, world: WorldReference) -> list[float]:
        """Directions to the nearest source of each kind, and to the shelter."""
        ways = [self._nearest(world, kind) for kind in range(len(self.params.kinds))]
        if self.params.storms:
            ways.append(self._way_to_shelter(world))
        nth = min(max(world.t - 1, 0), self._last_row)
        x, y = (table[nth] for table in self._tables)
        felt: list[float] = []
        for dx, dy in ways:
            felt += [x[dx + self.params.width - 1], y[dy + self.params.height - 1]]
        return felt

    def _way_to_shelter(self, world: WorldReference) -> tuple[int, int]:
        y, x = divmod(world.cell, self.params.width)
        (left, top), (wide, high) = world.shelter, self.params.shelter_size
        return min(max(x, left), left + wide - 1) - x, min(max(y, top), top + high - 1) - y

    def forget(self) -> None:
        """Forget the walls and zones of the last episode."""
        self._touched = {}

    def _touched_at(self, world: WorldReference) -> list[float]:
        """What this cell feels like, kept for the episode."""
        if world.cell not in self._touched:
            self._touched[world.cell] = self._touch(world)
        return self._touched[world.cell]

    def _touch(self, world: WorldReference) -> list[float]:
        """Walls and the border on the four sides; zones here and there."""
        felt: list[float] = []
        around = [world.target(move) for move in _AROUND]
        if self.params.walls:
            felt += [float(cell == world.cell) for cell in around]
        if self.params.zones:
            sides = [cell != world.cell and world.in_zone(cell) for cell in around]
            felt += map(float, [world.in_zone(world.cell), *sides])
        return felt

    def _notice(self, world: WorldReference, row: Row) -> None:
        """What changes by itself: cue, storm, and the pay of the last step."""
        told = {
            "cue": float(world.storms.cue(world.t)),
            "storm": float(world.storms.raging(world.t)),
            "payoff": world.payoff / POINT,
        }
        for name, place in self._seen.items():
            row[place] = told[name]
