"""A world on a line: time goes down to the present, which is drawn large at the bottom."""

from __future__ import annotations

from typing import Any

import numpy as np

from tropism.envs.chemotaxis import glyphs, land
from tropism.envs.chemotaxis.params import Params
from tropism.envs.chemotaxis.recording import View
from tropism.envs.chemotaxis.style import TRAIL, dim, look
from tropism.envs.core.canvas import INK, Canvas

_AXIS = 38
"""Pixels for the numbers at the left."""
_ROW = 54
_ACROSS = 688
"""Pixels of the line: what stands on its last cell needs room too."""


class LinePlot:
    """Draws a world that is one cell high or wide.

    Args:
        params: of the world.
        rect: where to: ``x, y, width, height``.
    """

    def __init__(self, params: Params, rect: tuple[int, int, int, int]) -> None:
        self._rect, height = rect, rect[3]
        self._axis = 0 if params.height == 1 else 1
        self._cells = params.size[self._axis]
        self._pitch = _ACROSS / self._cells
        self._left, self._top = _AXIS - 6, 8
        self._past = height - _ROW - 20
        self._row = self._top + self._past + 4
        self.radius = max(4.0, min(12.0, 0.9 * self._pitch))

    def prepare(self, canvas: Canvas) -> None:
        """Draw what never changes: the cells."""
        canvas = canvas.part(*self._rect)
        for cell in range(self._cells):
            x, _, width, _ = self._area(cell, cell, 1, 1)
            canvas.box(x, self._row, max(width, 1), _ROW, dim(INK["grid"], 0.8))
        canvas.box(self._left, self._top, _ACROSS, self._past, dim(INK["night"], 0.35))

    def draw(self, canvas: Canvas, view: View, *, truth: bool, whole: bool) -> None:
        """Draw the past, and below it the present."""
        canvas = canvas.part(*self._rect)
        del whole  # the strip shows the whole life anyway
        self._scale = self._past / max(view.horizon, 1)
        self._now = view.t
        birth = self._height(0)
        canvas.box(
            self._left, birth, _ACROSS, self._top + self._past - int(birth), dim(INK["grid"], 0.3)
        )
        self._draw_axis(canvas, view)
        if truth:
            self._draw_worldlines(canvas, view)
        self._draw_path(canvas, view)
        for visit in view.visits:
            x = self._middle((visit.x, visit.y)[self._axis])
            glyphs.draw_visit(canvas, view, visit, (x, self._height(visit.t)), 2.0)
        self._draw_present(canvas, view, truth)

    def _middle(self, cell: float) -> float:
        return self._left + (cell + 0.5) * self._pitch - 0.5

    def _height(self, t: float) -> float:
        """Where time ``t`` is; the present is at the bottom."""
        return self._top + self._past - (self._now - t) * self._scale

    def _draw_axis(self, canvas: Canvas, view: View) -> None:
        every = _round_step(view.horizon)
        for t in range(0, view.t + 1, every):
            y = self._height(t)
            canvas.box(self._left, y, _ACROSS, 1, dim(INK["grid"], 0.8))
            if view.t - t > 14 / self._scale or t == view.t:
                canvas.text(self._left - 6, y - 8, str(t), INK["muted"], 12, "right")

    def _draw_worldlines(self, canvas: Canvas, view: View) -> None:
        """Where each source was while it was there; those of harmful ones are dashed."""
        sources = view.sources
        changed = (sources[1:] != sources[:-1]).any(-1)
        for k in range(sources.shape[1]):
            begins = [0, *(np.flatnonzero(changed[:, k]) + 1).tolist()]
            for begin, end in zip(begins, [*begins[1:], view.t], strict=True):
                if sources[begin, k, 3]:
                    self._draw_worldline(canvas, view, k, begin, end)

    def _draw_worldline(self, canvas: Canvas, view: View, k: int, begin: int, end: int) -> None:
        x, y, harmful, _ = view.sources[begin, k].tolist()
        width = max(2, int(self._pitch) - 2)
        left = round(self._middle((x, y)[self._axis]) - width / 2)
        top, bottom = round(self._height(begin)), round(self._height(end))
        colour = dim(glyphs.look_of(view, k, bool(harmful)).colour, 0.32)
        area = canvas.image[top:bottom, left : left + width]
        area[:] = colour
        if harmful:
            area[::4] = area[1::4] = INK["panel"]

    def _draw_path(self, canvas: Canvas, view: View) -> None:
        along = view.places[:, self._axis].tolist()
        thick = max(2, round(self._scale))
        for t in range(1, view.t + 1):
            x, before = self._middle(along[t]), self._middle(along[t - 1])
            top, bottom = round(self._height(t - 1)), round(self._height(t))
            left = min(x, before) - 1
            canvas.box(left, top, abs(x - before) + 2, thick, TRAIL)
            canvas.box(x - 1, top, 2, max(bottom - top, 1), TRAIL)

    def _draw_present(self, canvas: Canvas, view: View, truth: bool) -> None:
        land.draw_land(canvas, view, self._area, truth)
        y = self._row + _ROW // 2
        here = self._middle(view.places[-1, self._axis])
        for kind, vector in glyphs.sensed(view):
            there = self._middle(view.places[-1, self._axis] + vector[self._axis])
            glyphs.draw_scent(canvas, (here, y), (there, y), look(kind).colour, self.radius)
        if truth:
            glyphs.draw_sources(canvas, view, self._at_row, self.radius)
        glyphs.draw_flash(canvas, view, self._at_row, self.radius)
        glyphs.draw_organism(canvas, view, here, y, self.radius)

    def _area(self, x: int, y: int, width: int, height: int) -> tuple[int, int, int, int]:
        first, count = ((x, width), (y, height))[self._axis]
        left = round(self._left + first * self._pitch)
        return left, self._row, round(self._left + (first + count) * self._pitch) - left - 1, _ROW

    def _at_row(self, x: Any, y: Any) -> tuple[float, float]:
        return self._middle((x, y)[self._axis]), self._row + _ROW // 2


def _round_step(horizon: int) -> int:
    """Steps between numbers on the time axis: about five."""
    return max(1, 2 ** round(np.log2(max(horizon, 1) / 4)))
