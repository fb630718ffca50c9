"""A frame of Chemotaxis: 768 x 480 pixels that tell where the organism is, what it senses and how it fares."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tropism.envs.chemotaxis import plot_needs, plot_senses
from tropism.envs.chemotaxis.params import Params
from tropism.envs.chemotaxis.plot_line import LinePlot
from tropism.envs.chemotaxis.plot_map import MapPlot
from tropism.envs.chemotaxis.recording import View
from tropism.envs.core.canvas import INK, Canvas, Image

WIDTH, HEIGHT = 768, 480
"""Multiples of 16, as video codecs like them."""


class Rect(NamedTuple):
    """A panel: its top left corner and its size, in pixels."""

    x: int
    y: int
    width: int
    height: int


class Layout(NamedTuple):
    """Where the panels are."""

    world: Rect
    needs: Rect
    senses: Rect
    legend: Rect


ON_A_LINE = Layout(
    Rect(16, 48, 736, 268),
    Rect(16, 322, 428, 146),
    Rect(450, 322, 148, 146),
    Rect(604, 322, 148, 146),
)
IN_THE_PLANE = Layout(
    Rect(16, 48, 420, 420),
    Rect(442, 48, 310, 216),
    Rect(442, 270, 152, 198),
    Rect(600, 270, 152, 198),
)


class Frames:
    """Draws frames of one world.

    Args:
        params: of the world.
    """

    def __init__(self, params: Params) -> None:
        on_a_line = 1 in params.size
        self._layout = ON_A_LINE if on_a_line else IN_THE_PLANE
        self._ground = Canvas(WIDTH, HEIGHT, INK["night"])
        for rect in self._layout:
            self._ground.panel(*rect, INK["panel"])
        self._world = (LinePlot if on_a_line else MapPlot)(params, self._layout.world)
        self._world.prepare(self._ground)

    def draw(
        self, view: View, *, truth: bool = True, whole: bool = False, notes: Sequence[str] = ()
    ) -> Image:
        """The life until the last moment of ``view``, ``uint8[480, 768, 3]``.

        Args:
            view: what has come to pass.
            truth: show what the organism cannot know: sources and dangers that it does not sense.
            whole: show the way of the whole life, not only the last of it.
            notes: short lines for the player, in place of the legend.
        """
        canvas = self._ground.copy()
        _draw_header(canvas, view)
        self._world.draw(canvas, view, truth=truth, whole=whole)
        plot_needs.draw_needs(canvas, self._layout.needs, view, truth)
        plot_senses.draw_senses(canvas, self._layout.senses, view, truth)
        if notes:
            _draw_notes(canvas, self._layout.legend, notes)
        else:
            plot_senses.draw_legend(canvas, self._layout.legend, view)
        return canvas.image


def _draw_header(canvas: Canvas, view: View) -> None:
    params = view.params
    x = 32 + canvas.text(20, 13, f"Chemotaxis {params.level}", INK["text"], 18)
    x += 16 + canvas.text(x, 18, f"{params.width} x {params.height}", INK["muted"], 14)
    if view.fate:
        colour = INK["hit" if view.fate in ("lived to the end", "reached the goal") else "miss"]
        canvas.text(x, 18, view.fate, colour, 14)
    x = WIDTH - 20
    fitness = f"{view.fact('fitness'):.1f}"
    for name, value in (("fitness", fitness), ("step", f"{view.t} / {view.horizon}")):
        x -= canvas.text(x, 13, value, INK["text"], 18, "right") + 6
        x -= canvas.text(x, 18, name, INK["muted"], 14, "right") + 18


def _draw_notes(canvas: Canvas, rect: Rect, notes: Sequence[str]) -> None:
    for n, line in enumerate(notes):
        canvas.text(rect.x + 12, rect.y + 8 + n * 18, line, INK["text"], 14)
