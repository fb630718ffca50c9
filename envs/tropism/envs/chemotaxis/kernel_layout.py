"""Where things stand, for a batch: the part of the Chemotaxis kernel that lays out the worlds beyond L1.1."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tropism.envs.chemotaxis.kernel import Kernel
from tropism.envs.chemotaxis.kernel_state import State
from tropism.envs.chemotaxis.params import FAMILY, UNIT
from tropism.envs.chemotaxis.streams import FAMILY_DRAW, GAP, QUADRANT, SHELTER, WALL, ZONE
from tropism.envs.chemotaxis.tables import wall_columns


class LayoutKernel(Kernel):
    """Walls, zones, shelter, quadrant, and which world of the family it is."""

    def _lay_out(self, state: State, forced: Mapping[str, Any]) -> State:
        params, zero = self.params, state.t
        drawn: dict[str, Any] = {}
        if params.thirsty:
            drawn["hydration"] = forced.get("hydration", zero + UNIT)
        if params.walls:
            drawn["wall_x"], drawn["wall_gap"] = self._walls(state)
        if params.zones:
            x, y = self._corners(state, params.zones, ZONE, params.zone_size)
            drawn["zone_x"], drawn["zone_y"] = self._outermost(x), self._outermost(y)
        if params.storms:
            x, y = self._corners(state, 1, SHELTER, params.shelter_size)
            drawn["shelter"] = self.xp.concatenate([x, y], -1)
        if params.layout_period:
            block = self.hash.episode_key(state.key, state.episode // params.layout_period)
            drawn["quadrant"] = self.hash.below(self.hash.bits(block, zero, QUADRANT), 4)[..., None]
        if params.family:
            sizes = np.array([len(values) for values in FAMILY.values()], np.uint32)
            words = self._words(state, len(sizes), FAMILY_DRAW)
            drawn["family"] = self.hash.below(words, sizes)
        if params.switch == "goal":
            drawn["paid"] = drawn["payoff"] = zero
        return state._replace(**drawn)

    def _words(self, state: State, count: int, stream: int) -> Any:
        """Words 0 to ``count - 1`` of a stream of the episode, uint32[..., count]."""
        return self.hash.bits(state.draw[..., None, :], np.arange(count, dtype=np.int32), stream)

    def _walls(self, state: State) -> tuple[Any, Any]:
        """Column and row of the gap of each wall."""
        columns = wall_columns(self.params)
        count, choices = columns.shape
        nth = self.hash.below(self._words(state, count, WALL), choices)
        at = self._look_up(columns.reshape(-1), nth + choices * np.arange(count, dtype=np.int32))
        gap = self.hash.below(self._words(state, count, GAP), self.params.height)
        return self._outermost(at), self._outermost(gap)

    def _corners(
        self, state: State, count: int, stream: int, size: tuple[int, int]
    ) -> tuple[Any, Any]:
        """Upper left corners of rectangles, uniformly inside the grid."""
        wide, high = self.params.width - size[0] + 1, self.params.height - size[1] + 1
        cell = self.hash.below(self._words(state, count, stream), wide * high)
        return cell % wide, cell // wide

    # -- cells ----------------------------------------------------------------------------------------------

    def _place(self, state: State) -> list[Any]:
        place = super()._place(state)
        if self.params.layout_period:
            place.append(state.quadrant)
        elif self.params.walls:
            place += [state.wall_x, state.wall_gap]
        return place

    def _cells(self, place: list[Any], counter: Any, stream: int) -> tuple[Any, Any]:
        """Uniform cells of the quadrant in use; from a wall they move to the next column."""
        params = self.params
        if not params.layout_period:
            x, y = super()._cells(place, counter, stream)
            return (x + self._in_wall(x, y, *place[1:]), y) if params.walls else (x, y)
        wide, high, quadrant = params.width // 2, params.height // 2, place[1][..., 0]
        cell = self.hash.below(self.hash.bits(place[0], counter, stream), wide * high)
        x = cell % wide + (quadrant & 1) * (params.width - wide)
        return x, cell // wide + (quadrant >> 1) * (params.height - high)

    def _in_wall(self, x: Any, y: Any, wall_x: Any, wall_gap: Any) -> Any:
        """Whether cells lie in one of the walls, whose axis comes last."""
        return ((wall_x == x[..., None]) & (wall_gap != y[..., None])).any(-1)

    def _in_zone(self, state: State, x: Any, y: Any) -> Any:
        """Whether cells lie in a zone."""
        wide, high = self.params.zone_size
        dx, dy = x[..., None] - state.zone_x, y[..., None] - state.zone_y
        return ((dx >= 0) & (dx < wide) & (dy >= 0) & (dy < high)).any(-1)

    def _way_to_shelter(self, state: State) -> tuple[Any, Any]:
        """Cells along x and y to the nearest cell of the shelter; 0 inside."""
        left, top = state.shelter[..., 0], state.shelter[..., 1]
        return tuple(  # type: ignore[return-value]
            self.xp.minimum(self.xp.maximum(here, first), first + (size - 1)) - here
            for here, first, size in zip(
                (state.x, state.y), (left, top), self.params.shelter_size, strict=True
            )
        )
