"""The needs: a bar each for the present, and a curve for the life so far."""

from __future__ import annotations

import numpy as np

from tropism.envs.chemotaxis.params import UNIT
from tropism.envs.chemotaxis.recording import Numbers, View, Visit
from tropism.envs.chemotaxis.style import CUE, NEEDS, STORM, dim, look
from tropism.envs.core.canvas import INK, Canvas

_LABEL, _BAR, _TRACK = 76, 10, 18
_WET = ("water", "brine")
_CALM = dim(INK["night"], 0.35)


def draw_needs(canvas: Canvas, rect: tuple[int, int, int, int], view: View, truth: bool) -> None:
    """One row a need, and one for what else changes with time; hidden changes only with ``truth``."""
    x, y, width, height = rect
    names = [name for name in NEEDS if f"{name}_units" in view.now.facts]
    tracks = _tracks(view, truth)
    pitch = (height - 12 - _TRACK * len(tracks)) / len(names)
    for n, name in enumerate(names):
        _draw_need(canvas, (x, round(y + 8 + n * pitch), width, round(pitch - 6)), view, name)
    for n, (title, colours) in enumerate(tracks):
        _draw_track(
            canvas,
            (x, y + height - _TRACK * (len(tracks) - n) - 4, width),
            title,
            colours,
            view.horizon,
        )


def _draw_need(canvas: Canvas, rect: tuple[int, int, int, int], view: View, name: str) -> None:
    x, y, width, height = rect
    colour = NEEDS[name]
    level = view.series(f"{name}_units") / UNIT
    canvas.text(x + 12, y, name, INK["muted"])
    canvas.text(x + 12, y + 14, f"{100 * level[-1]:.0f} %", INK["text"], 18)
    bar = x + _LABEL
    canvas.box(bar, y, _BAR, height, dim(INK["grid"], 0.8))
    filled = round(height * level[-1])
    canvas.box(bar, y + height - filled, _BAR, filled, colour)
    left = bar + _BAR + 6
    plot = (left, y, x + width - 12 - left, height)
    canvas.box(*plot, dim(INK["night"], 0.35))
    _draw_curve(canvas, plot, level, view.horizon, name)
    for visit in view.visits:
        if _bears_on(view, visit, name):
            at = left + visit.t * plot[2] / view.horizon, y + (height - 1) * (1 - level[visit.t])
            mark = ("cross", INK["miss"], 4.0) if visit.harmful else ("dot", INK["text"], 2.0)
            canvas.mark(mark[0], *at, *mark[1:])


def _draw_curve(
    canvas: Canvas, plot: tuple[int, int, int, int], level: Numbers, horizon: int, name: str
) -> None:
    """The area under ``level[t]``, over an axis of ``horizon`` steps."""
    x, y, width, height = plot
    t = np.arange(width) * horizon // max(width, 1)
    known = int(np.searchsorted(t, len(level)))
    top = height - np.round(level[t[:known]] * height).astype(int)
    depth = np.arange(height)[:, None] - top
    area = canvas.image[y : y + height, x : x + known]
    area[depth >= 0] = dim(NEEDS[name], 0.3)
    before = np.concatenate([top[:1], top[:-1]])  # a jump becomes an upright stroke
    rows = np.arange(height)[:, None]
    line = (rows >= np.minimum(top, before)) & (rows < np.maximum(top, before) + 2)
    area[line] = NEEDS[name]


def _tracks(view: View, truth: bool) -> list[tuple[str, Numbers]]:
    """Title and colour at every moment, ``uint8[t + 1, 3]``, of what changes by itself."""
    facts, tracks = view.now.facts, []
    if "shelter" in facts:
        weather = (view.sensed("storm") > 0.5) * 2 + (view.sensed("cue") > 0.5)
        tracks.append(("weather", np.array([_CALM, CUE, STORM, STORM])[weather]))
    if truth and "season" in facts:
        sides = [look(kind).colour for kind in view.params.kinds]
        tracks.append(("season", np.array(sides)[view.series("season")]))
    if truth and "goal" in facts:
        sides = [NEEDS["energy"], NEEDS["hydration"]]
        tracks.append(("what pays", np.array(sides)[view.series("goal")]))
    return tracks


def _draw_track(
    canvas: Canvas, at: tuple[int, int, int], title: str, colours: Numbers, horizon: int
) -> None:
    x, y, width = at
    canvas.text(x + 12, y - 1, title, INK["muted"])
    left = x + _LABEL + _BAR + 6
    wide = x + width - 12 - left
    canvas.box(left, y, wide, _TRACK - 6, _CALM)
    t = np.arange(wide) * horizon // max(wide, 1)
    known = int(np.searchsorted(t, len(colours)))
    canvas.image[y : y + _TRACK - 6, left : left + known] = colours[t[:known]]


def _bears_on(view: View, visit: Visit, need: str) -> bool:
    """Harm is for integrity, and each kind feeds one need."""
    if visit.harmful:
        return need == "integrity"
    return need == ("hydration" if view.params.kinds[visit.kind] in _WET else "energy")
