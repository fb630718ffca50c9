"""What the organism senses now, and what the shapes mean."""

from __future__ import annotations

from collections import Counter

from tropism.envs.chemotaxis import glyphs
from tropism.envs.chemotaxis.observation import channels
from tropism.envs.chemotaxis.params import UNIT
from tropism.envs.chemotaxis.recording import View
from tropism.envs.chemotaxis.style import CUE, HARMFUL, NEEDS, OUT_OF_SEASON, STORM, dim, look
from tropism.envs.core.canvas import INK, Canvas, Colour

Box = tuple[int, int, int, int]
_DARK = dim(INK["night"], 0.35)
_SIDES = {"here": (0, 0), "up": (0, -1), "down": (0, 1), "left": (-1, 0), "right": (1, 0)}
_LAMPS = {"cue": CUE, "storm": STORM}


def draw_senses(canvas: Canvas, rect: Box, view: View, truth: bool) -> None:
    """A dial for each gradient, squares for what is felt around, lamps for the rest.

    With ``truth`` the lamp of the storm says when it comes.
    """
    x, y, width, height = rect
    canvas.text(x + 12, y + 8, "senses", INK["muted"])
    names = channels(view.params)
    others = [name for name in names if not name.endswith(("_x", "_y")) and name not in NEEDS]
    sides = [name for name in others if name.rpartition("_")[2] in _SIDES]
    room = height - 60 - (74 if sides else 24 * len(others))
    _draw_dials(canvas, (x + 6, y + 30, width - 12, max(room, 28)), view)
    if sides:
        _draw_touch(canvas, x + width - 46, y + height - 42, view, sides)
        canvas.text(x + 12, y + height - 50, sides[0].partition("_")[0], INK["text"], 14)
    lamps = [name for name in others if name not in sides]
    for n, name in enumerate(lamps):
        _draw_lamp(canvas, x + 20, y + height - 20 - 22 * (len(lamps) - 1 - n), view, name)
    if truth and "storm_in" in view.now.facts:
        canvas.text(x + width - 12, y + height - 29, _forecast(view), INK["muted"], 14, "right")


def _forecast(view: View) -> str:
    steps = int(view.fact("storm_in"))
    return f"in {steps}" if steps > 0 else "none" if steps < 0 else ""


def _draw_dials(canvas: Canvas, rect: Box, view: View) -> None:
    x, y, width, height = rect
    kinds = [name.removesuffix("_x") for name in channels(view.params) if name.endswith("_x")]
    felt = dict(glyphs.sensed(view))
    pitch = width / len(kinds)
    radius = min(34.0, pitch / 2 - 4, height / 2)
    extents = [max(size - 1, 1) for size in view.params.size]
    for n, kind in enumerate(kinds):
        middle = round(x + (n + 0.5) * pitch), round(y + radius)
        dx, dy = felt.get(kind, (0.0, 0.0))
        _draw_dial(canvas, middle, radius, (dx / extents[0], dy / extents[1]), look(kind).colour)
        ink, size = INK["text" if kind in felt else "muted"], 14 if len(kinds) == 1 else 12
        canvas.text(middle[0], middle[1] + radius + 7, kind, ink, size, "middle")


def _draw_dial(
    canvas: Canvas, middle: tuple[int, int], radius: float, way: glyphs.Point, colour: Colour
) -> None:
    """An arrow as long as the square root of what is felt, for little to be seen; a point for nothing."""
    x, y = middle
    canvas.mark("dot", x, y, _DARK, radius)
    canvas.mark("ring", x, y, dim(INK["muted"], 0.5), radius)
    strength = (way[0] ** 2 + way[1] ** 2) ** 0.5
    if not strength:
        canvas.mark("dot", x, y, INK["muted"], 2.5)
        return
    length = (radius - 4) * (0.3 + 0.7 * min(1.0, strength) ** 0.5)
    ux, uy = way[0] / strength, way[1] / strength
    tip, barb = (x + length * ux, y + length * uy), 4 + radius / 8
    canvas.line((x, y), tip, colour, 3.0)
    for side in (-0.65, 0.65):
        end = tip[0] - barb * (ux + side * uy), tip[1] - barb * (uy - side * ux)
        canvas.line(end, tip, colour, 3.0)


def _draw_touch(canvas: Canvas, x: int, y: int, view: View, names: list[str]) -> None:
    """Squares around the body: grey for what blocks, hatched red for what drains."""
    for name in names:
        sense, _, side = name.rpartition("_")
        dx, dy = _SIDES[side]
        on = INK["muted"] if sense == "blocked" else INK["miss"]
        colour = on if view.sense(name) > 0.5 else dim(INK["grid"], 0.8)
        canvas.panel(x + 22 * dx - 9, y + 22 * dy - 9, 19, 19, colour, 4)
    canvas.mark("dot", x, y, INK["text"], 4.0)


def _draw_lamp(canvas: Canvas, x: int, y: int, view: View, name: str) -> None:
    """A lamp that is lit or not; what is not just on or off is a number as well."""
    value, flag = view.sense(name), name in _LAMPS
    lit = value > (0.5 if flag else 0.0)
    canvas.mark("dot", x, y, _LAMPS.get(name, INK["hit"]) if lit else _DARK, 6.0)
    canvas.mark("ring", x, y, dim(INK["muted"], 0.5), 6.5)
    text = name if flag else f"{name} {value:.1f}"
    canvas.text(x + 14, y - 9, text, INK["text" if lit else "muted"], 14)


def draw_legend(canvas: Canvas, rect: Box, view: View) -> None:
    """Shapes, and how often each was visited; of a family of worlds, which one this is."""
    x, y, width, height = rect
    canvas.text(x + 12, y + 8, "visits", INK["muted"])
    counts = Counter((visit.kind, visit.harmful) for visit in view.visits)
    rows = [(name, look(name), counts[n, False]) for n, name in enumerate(view.params.kinds)]
    harmful = sum(count for (_, bad), count in counts.items() if bad)
    if "season" in view.now.facts:
        rows.append(("out of season", OUT_OF_SEASON, harmful))
    elif view.dangerous:
        rows.append(("harmful", HARMFUL, harmful))
    for n, (name, (shape, colour, _), count) in enumerate(rows):
        middle = y + 38 + n * 24
        canvas.mark(shape, x + 22, middle, colour, 8.0)
        canvas.text(x + 38, middle - 9, name, INK["text"], 14)
        canvas.text(x + width - 12, middle - 9, str(count), INK["text"], 14, "right")
    if "family" in view.now.facts:
        for n, line in enumerate(_family(view)):
            canvas.text(x + 12, y + height - 62 + n * 18, line, INK["muted"], 12)


def _family(view: View) -> list[str]:
    """What this episode drew."""
    _, dropout, delay, harm = (int(n) for n in view.fact("family"))
    return [f"dropout {dropout / 10:g} %", f"back after {delay}", f"harm {100 * harm / UNIT:g} %"]
