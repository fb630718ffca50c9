"""What a world has besides sources: walls, zones, a shelter, a storm.  Hatched means that integrity drains there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tropism.envs.chemotaxis.recording import View
from tropism.envs.chemotaxis.style import CUE, KINDS, dim
from tropism.envs.core.canvas import INK, Canvas

Area = Callable[[int, int, int, int], tuple[int, int, int, int]]
"""From a rectangle of cells ``x, y, width, height`` to one of pixels."""
_FRAME = 3


def draw_land(canvas: Canvas, view: View, area: Area, truth: bool) -> None:
    """Draw what there is on a map whose cells are at ``area``; without ``truth``, only what shows everywhere."""
    facts, params = view.now.facts, view.params
    if truth and "quadrant" in facts:
        _outline(canvas, area(*_quadrant(view)), INK["muted"], 1)
    for zone in facts["zones"] if truth and "zones" in facts else ():
        _hatch(canvas, area(*map(int, zone)), 0.5)
    for column, gap in facts["walls"] if truth and "walls" in facts else ():
        for row in range(params.height):
            if row != gap:
                canvas.box(*area(int(column), row, 1, 1), dim(INK["muted"], 0.75))
    if "shelter" in facts:
        _draw_weather(canvas, view, area, truth)


def _draw_weather(canvas: Canvas, view: View, area: Area, truth: bool) -> None:
    """A storm everywhere but in the shelter; a frame for its cue."""
    whole, shelter = area(0, 0, *view.params.size), area(*map(int, view.fact("shelter")))
    if view.sense("storm") > 0.5:
        inside = canvas.image[_slices(shelter)].copy()
        _hatch(canvas, whole, 0.32)
        if truth:
            canvas.image[_slices(shelter)] = inside
    if truth:
        _outline(canvas, shelter, KINDS["shelter"].colour, 2)
    if view.sense("cue") > 0.5:
        _outline(canvas, whole, CUE, _FRAME)


def _quadrant(view: View) -> tuple[int, int, int, int]:
    """The rectangle of cells in which all sources are."""
    quadrant = int(view.fact("quadrant"))
    wide, high = (n // 2 for n in view.params.size)
    x = (view.params.width - wide) * (quadrant & 1)
    y = (view.params.height - high) * (quadrant >> 1)
    return x, y, wide, high


def _slices(box: tuple[int, int, int, int]) -> tuple[slice, slice]:
    x, y, width, height = box
    return slice(y, y + height), slice(x, x + width)


def _hatch(canvas: Canvas, box: tuple[int, int, int, int], strength: float) -> None:
    """Slanting strokes over what is there."""
    ground: Any = canvas.image[_slices(box)]
    y, x = np.ogrid[box[1] : box[1] + box[3], box[0] : box[0] + box[2]]
    strokes = (x + y) % 8 < 2
    ground[strokes[: ground.shape[0], : ground.shape[1]]] = dim(INK["miss"], strength)


def _outline(
    canvas: Canvas, box: tuple[int, int, int, int], colour: tuple[int, int, int], width: int
) -> None:
    x, y, wide, high = box
    canvas.box(x, y, wide, width, colour)
    canvas.box(x, y + high - width, wide, width, colour)
    canvas.box(x, y, width, high, colour)
    canvas.box(x + wide - width, y, width, high, colour)
