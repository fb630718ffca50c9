"""A world in the plane: a map with the trail of the organism."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from tropism.envs.chemotaxis import glyphs, land
from tropism.envs.chemotaxis.params import Params
from tropism.envs.chemotaxis.recording import View
from tropism.envs.chemotaxis.style import TRAIL, dim, look
from tropism.envs.core.canvas import INK, SERIES, Canvas, mix

RECENT = 48
"""Steps of the trail."""
_OLD = SERIES[5]


class MapPlot:
    """Draws a world of some width and height.

    Args:
        params: of the world.
        rect: where to: ``x, y, width, height``.
    """

    def __init__(self, params: Params, rect: tuple[int, int, int, int]) -> None:
        self._rect, self._size = rect, params.size
        _, _, width, height = rect
        self._pitch = min((width - 16) // params.width, (height - 16) // params.height)
        self._left = (width - self._pitch * params.width) // 2
        self._top = (height - self._pitch * params.height) // 2
        self._range = params.sensing_range
        self.radius = max(4.5, min(12.0, 0.46 * self._pitch))

    def prepare(self, canvas: Canvas) -> None:
        """Draw what never changes: the cells."""
        canvas = canvas.part(*self._rect)
        pitch, gap = self._pitch, 1 if self._pitch >= 4 else 0
        for row in range(self._size[1]):
            for column in range(self._size[0]):
                x, y = self._left + column * pitch, self._top + row * pitch
                canvas.box(x, y, pitch - gap, pitch - gap, dim(INK["grid"], 0.45))

    def draw(self, canvas: Canvas, view: View, *, truth: bool, whole: bool) -> None:
        """Draw the trail, what is sensed, sources and the organism."""
        canvas = canvas.part(*self._rect)
        land.draw_land(canvas, view, self._area, truth)
        self._draw_trail(canvas, view, whole)
        here = self._middle(*view.places[-1])
        if whole:
            canvas.mark("ring", *self._middle(*view.places[0]), INK["text"], 0.6 * self.radius)
        for visit in view.visits:
            glyphs.draw_visit(
                canvas, view, visit, self._middle(visit.x, visit.y), max(2.2, 0.3 * self.radius)
            )
        for kind, (dx, dy) in glyphs.sensed(view):
            there = self._middle(view.places[-1, 0] + dx, view.places[-1, 1] + dy)
            glyphs.draw_scent(canvas, here, there, look(kind).colour, self.radius)
        if truth:
            glyphs.draw_sources(canvas, view, self._middle, self.radius)
        if self._range:
            canvas.mark("ring", *here, dim(INK["muted"], 0.4), (self._range + 0.5) * self._pitch)
        glyphs.draw_flash(canvas, view, self._middle, self.radius)
        glyphs.draw_organism(canvas, view, *here, self.radius)

    def _middle(self, x: Any, y: Any) -> tuple[float, float]:
        pitch = self._pitch
        return self._left + (x + 0.5) * pitch - 1, self._top + (y + 0.5) * pitch - 1

    def _area(self, x: int, y: int, width: int, height: int) -> tuple[int, int, int, int]:
        pitch = self._pitch
        return self._left + x * pitch, self._top + y * pitch, width * pitch - 1, height * pitch - 1

    def _draw_trail(self, canvas: Canvas, view: View, whole: bool) -> None:
        """The way it came, paler with age; of a ``whole`` life, from violet to white."""
        first = 1 if whole else max(1, view.t - RECENT)
        points = [self._middle(x, y) for x, y in view.places[first - 1 :].tolist()]
        for n, (a, b) in enumerate(pairwise(points)):
            share = round((n + 1) / (len(points) - 1), 2)
            colour = mix(_OLD, TRAIL, share) if whole else dim(TRAIL, 0.1 + 0.8 * share)
            if a != b:
                canvas.line(a, b, colour, 3.0 if self._pitch > 10 else 2.0)
