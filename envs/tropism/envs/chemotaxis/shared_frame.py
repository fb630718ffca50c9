"""A frame of a shared world: a map with all organisms, and a row for each that says how it fares."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from tropism.envs.chemotaxis import glyphs, land
from tropism.envs.chemotaxis.frame import HEIGHT, IN_THE_PLANE, WIDTH, Rect
from tropism.envs.chemotaxis.params import UNIT, Params
from tropism.envs.chemotaxis.plot_map import MapPlot
from tropism.envs.chemotaxis.recording import View
from tropism.envs.chemotaxis.style import NEEDS, dim
from tropism.envs.core.canvas import INK, SERIES, Canvas, Colour, Image

_ROWS = Rect(442, 48, 310, 420)
_TRAIL = 24
"""Steps of a trail."""
_MOST = 52
"""Pixels of a row, at most."""


def colour_of(index: int) -> Colour:
    """The colour of an organism; that of the first comes again for the ninth."""
    return SERIES[index % len(SERIES)]


def latest(views: Sequence[View]) -> View:
    """The view of somebody who has lived longest, and so knows the ground of today."""
    return max(views, key=lambda view: view.t)


class CrowdPlot(MapPlot):
    """Draws a world with several organisms."""

    def draw_crowd(self, canvas: Canvas, views: Sequence[View]) -> None:
        """Draw the ground, trails of the living, sources and bodies."""
        canvas, now = canvas.part(*self._rect), latest(views)
        land.draw_land(canvas, now, self._area, truth=True)
        for index, view in enumerate(views):
            if not view.fate:
                self._draw_path(canvas, view, colour_of(index))
        glyphs.draw_sources(canvas, now, self._middle, self.radius)
        for index, view in sorted(enumerate(views), key=lambda item: not item[1].fate):
            here = self._middle(*view.places[-1])
            glyphs.draw_organism(canvas, view, *here, self.radius)
            canvas.mark("ring", *here, colour_of(index), self.radius)

    def _draw_path(self, canvas: Canvas, view: View, colour: Colour) -> None:
        """The way somebody came, paler with age."""
        points = [self._middle(x, y) for x, y in view.places[-_TRAIL:].tolist()]
        for n, (a, b) in enumerate(pairwise(points)):
            if a != b:
                canvas.line(a, b, dim(colour, round(0.1 + 0.6 * (n + 1) / len(points), 2)), 2.0)


class SharedFrames:
    """Draws frames of one shared world.

    Args:
        params: of the world.
    """

    def __init__(self, params: Params) -> None:
        self._ground = Canvas(WIDTH, HEIGHT, INK["night"])
        for rect in (IN_THE_PLANE.world, _ROWS):
            self._ground.panel(*rect, INK["panel"])
        self._world = CrowdPlot(params, IN_THE_PLANE.world)
        self._world.prepare(self._ground)

    def draw(self, views: Sequence[View]) -> Image:
        """The lives until the last moments of ``views``, one for each organism, ``uint8[480, 768, 3]``."""
        canvas = self._ground.copy()
        _draw_header(canvas, views)
        self._world.draw_crowd(canvas, views)
        pitch = min(_MOST, (_ROWS.height - 16) // len(views))
        for index, view in enumerate(views):
            top = _ROWS.y + 8 + index * pitch
            _draw_row(canvas, (_ROWS.x, top, pitch), view, index)
        return canvas.image


def _draw_header(canvas: Canvas, views: Sequence[View]) -> None:
    now, params = latest(views), views[0].params
    alive = sum(not view.fate for view in views)
    x = 32 + canvas.text(20, 13, f"Chemotaxis {params.level}", INK["text"], 18)
    canvas.text(x, 18, f"{params.width} x {params.height}", INK["muted"], 14)
    x = WIDTH - 20
    for name, value in (("alive", f"{alive}"), ("step", f"{now.t} / {now.horizon}")):
        x -= canvas.text(x, 13, value, INK["text"], 18, "right") + 6
        x -= canvas.text(x, 18, name, INK["muted"], 14, "right") + 18


def _draw_row(canvas: Canvas, place: tuple[int, int, int], view: View, index: int) -> None:
    """Who, a bar for each need, fitness, and the end; grey for the dead."""
    x, y, height = place
    middle, ink = y + height // 2, INK["muted" if view.fate else "text"]
    canvas.mark("ring", x + 20, middle, colour_of(index), min(7.0, height / 2 - 1))
    canvas.text(x + 34, middle - 8, str(index), ink)
    needs = [name for name in NEEDS if f"{name}_units" in view.now.facts]
    thick = max((height - 8) // len(needs) - 2, 2)
    for n, name in enumerate(needs):
        level = view.fact(f"{name}_units") / UNIT
        top = middle + (2 * n - len(needs)) * (thick + 2) // 2
        canvas.box(x + 56, top, 100, thick, dim(INK["grid"], 0.8))
        canvas.box(x + 56, top, round(100 * level), thick, NEEDS[name])
    canvas.text(x + 206, middle - 8, f"{view.fact('fitness'):.1f}", ink, 12, "right")
    canvas.text(x + 216, middle - 8, view.fate, INK["muted"])
