"""The organism, sources and scents, wherever they are drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import hypot

from tropism.envs.chemotaxis.observation import channels
from tropism.envs.chemotaxis.recording import View, Visit
from tropism.envs.chemotaxis.style import HARMFUL, OUT_OF_SEASON, Look, dim, look
from tropism.envs.core.canvas import INK, Canvas, Colour

Point = tuple[float, float]
FLASH = 12
"""Steps that an arrival is seen for."""
_DOTS = 9
"""Pixels between the dots of a scent."""


def sensed(view: View) -> Iterator[tuple[str, Point]]:
    """Each thing that has a gradient, and the way to it in cells as the organism senses it, unless it senses none."""
    names = channels(view.params)
    scale = [max(n - 1, 1) for n in view.params.size]
    for index, name in enumerate(names):
        if name.endswith("_x"):
            gx, gy = view.now.sensed[index : index + 2].tolist()
            if gx or gy:
                yield name.removesuffix("_x"), (gx * scale[0], gy * scale[1])


def draw_scent(canvas: Canvas, here: Point, there: Point, colour: Colour, clear: float) -> None:
    """Dots from the organism to where it believes a source to be, paler with distance."""
    length = hypot(there[0] - here[0], there[1] - here[1])
    if length < clear:
        return
    ux, uy = (there[0] - here[0]) / length, (there[1] - here[1]) / length
    count = int((length - clear) // _DOTS)
    for n in range(count):
        at = length - n * _DOTS if count == 1 else clear + 4 + n * _DOTS
        share = 0.9 - 0.5 * at / length
        canvas.mark("dot", here[0] + at * ux, here[1] + at * uy, dim(colour, round(share, 1)), 1.6)


def look_of(view: View, k: int, harmful: bool) -> Look:
    """How source ``k`` is drawn: by its kind, a harmful one as such; out of season it keeps its shape, dimmed."""
    kind = view.params.kinds[view.kinds[k]]
    if harmful and "season" in view.now.facts:
        return Look(look(kind).shape, dim(look(kind).colour, 0.3), OUT_OF_SEASON.letter)
    return look(kind, harmful)


def draw_sources(
    canvas: Canvas, view: View, place: Callable[[int, int], Point], radius: float
) -> None:
    """All sources: filled, or hollow with the steps until they come back; harmful ones on top."""
    rows = list(enumerate(view.sources[-1].tolist()))
    for k, (x, y, harmful, active) in sorted(rows, key=lambda row: (row[1][3], row[1][2])):
        shape, colour, _ = look_of(view, k, bool(harmful))
        u, v = place(x, y)
        if active:
            canvas.mark("dot", u, v, INK["panel"], radius + 2)
            canvas.mark(shape, u, v, colour, radius)
            if harmful and shape != HARMFUL.shape:  # out of season
                canvas.mark(OUT_OF_SEASON.shape, u, v, OUT_OF_SEASON.colour, radius)
        else:
            canvas.mark(f"open {shape}", u, v, dim(colour, 0.55), radius)
            if view.now.timers and radius >= 7:
                left = str(view.now.timers[k])
                canvas.text(u + 0.5, v - 8, left, dim(INK["text"], 0.7), 12, "middle")


def draw_visit(canvas: Canvas, view: View, visit: Visit, at: Point, radius: float) -> None:
    """A small mark where something was met: a disc of its colour for good, a cross for bad."""
    canvas.mark("dot", *at, INK["night"], radius + 1.5)
    if visit.harmful:
        canvas.mark("cross", *at, INK["miss"], radius + 2.5)
    else:
        canvas.mark("dot", *at, look(view.params.kinds[visit.kind]).colour, radius)


def draw_flash(
    canvas: Canvas, view: View, place: Callable[[int, int], Point], radius: float
) -> None:
    """The echo of the last arrival, where it was: rings that grow and pale."""
    if not view.visits or view.t - view.visits[-1].t >= FLASH:
        return
    visit = view.visits[-1]
    age = view.t - visit.t
    for ring in range(2):
        strength = round((1 - age / FLASH) * (0.9 - 0.4 * ring), 2)
        colour = dim(INK["miss" if visit.harmful else "hit"], strength)
        size = radius + 3 + (age + 4 * ring) * radius / 11
        canvas.mark("ring", *place(visit.x, visit.y), colour, size)


def draw_organism(canvas: Canvas, view: View, x: float, y: float, radius: float) -> None:
    """A white body with an eye that looks where it went; a grey cross when dead."""
    body = 0.68 * radius if radius >= 7 else radius
    dead = view.fate.startswith(("died", "starved"))
    canvas.mark("dot", x, y, INK["night"], body + 1.5)
    canvas.mark("dot", x, y, INK["muted" if dead else "text"], body)
    if dead:
        canvas.mark("cross", x, y, INK["night"], body)
        return
    dx, dy = view.heading
    eye = round(x + dx * body * 0.45), round(y + dy * body * 0.45)
    canvas.mark("dot", *eye, INK["night"], 0.36 * body)
