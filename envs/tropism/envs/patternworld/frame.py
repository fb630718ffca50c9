"""A frame of PatternWorld: 768 x 480 pixels that tell what the agent saw, said and got."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tropism.envs.core.canvas import INK, Canvas, Colour, Image, mix
from tropism.envs.patternworld import plots
from tropism.envs.patternworld.params import Params
from tropism.envs.patternworld.recording import HORIZON, Recording, Step, rule_name
from tropism.envs.patternworld.reference import HopReference

WIDTH, HEIGHT = 768, 480
"""Multiples of 16, as video codecs like them."""
_CELLS, _CELL_X, _CELL_Y, _CELL_PITCH = 13, 76, 402, 52
_SIDE_X, _SIDE_Y, _SIDE = 556, 298, 188
_BARS = 5


class Frames:
    """Draws frames of one task.

    Args:
        params: the task.
    """

    def __init__(self, params: Params) -> None:
        self._ground = _draw_ground(params)
        self._permutation: tuple[list[int], Canvas] | None = None

    def draw(
        self, world: Recording, spoilers: bool = True, entry: str = "", notes: Sequence[str] = ()
    ) -> Image:
        """The frame after the last answer of ``world``, ``uint8[480, 768, 3]``.

        Args:
            world: the episode.
            spoilers: show what the agent could not see: rules, switches and masked answers.
            entry: what has been typed of the coming answer.
            notes: up to five short lines for the player, in place of the belief.
        """
        recent = world.steps[-(plots.COLUMNS - 1) :]
        canvas = self._stage(world).copy()
        _draw_header(canvas, world)
        plots.draw_sequence(canvas, world, recent, spoilers)
        plots.draw_strips(canvas, world, recent, spoilers)
        if isinstance(world, HopReference):
            plots.draw_hops(canvas, world, spoilers)
        else:
            plots.draw_map(canvas, world, recent, spoilers)
        if notes:
            _draw_notes(canvas, notes)
        else:
            _draw_side(canvas, world)
        _draw_cells(canvas, world, spoilers, entry)
        return canvas.image

    def _stage(self, world: Recording) -> Canvas:
        """What stays the same between switches."""
        if not isinstance(world, HopReference):
            return self._ground
        if self._permutation is None or self._permutation[0] != world.permutation:
            canvas = self._ground.copy()
            plots.draw_permutation(canvas, world)
            self._permutation = list(world.permutation), canvas
        return self._permutation[1]


def _draw_ground(params: Params) -> Canvas:
    """Panels, titles and axes."""
    canvas = Canvas(WIDTH, HEIGHT, INK["night"])
    for x, y, width, height in (
        (16, 52, 520, 220),
        (16, 278, 520, 98),
        (548, 52, 204, 220),
        (548, 278, 204, 98),
    ):
        canvas.panel(x, y, width, height, INK["panel"])
    canvas.panel(16, 382, 736, 86, INK["panel"])
    width = canvas.text(20, 13, f"PatternWorld {params.tier}", INK["text"], 18)
    about = params.feedback + (f" · noise {params.noise:g}" if params.noise else "")
    canvas.text(32 + width, 18, about, INK["muted"], 14)
    _draw_axes(canvas, params.vocabulary)
    hops = params.family == "hop"
    title = "permutation and query" if hops else "next token by last token"
    canvas.text(plots.MAP_X, 56, title, INK["muted"])
    for y, text in (
        (plots.STRIP, "rule"),
        (plots.MARKS - 9, "hit"),
        (plots.CHART + 4, "last"),
        (plots.CHART + 20, "20"),
    ):
        canvas.text(42, y, text, INK["muted"], 12, "right")
    canvas.text(24, _CELL_Y + 10, "token", INK["muted"])
    canvas.text(24, _CELL_Y + 43, "answer", INK["muted"])
    return canvas


def _draw_axes(canvas: Canvas, vocabulary: int) -> None:
    step = 1 if vocabulary <= 10 else 20
    for token in range(0, vocabulary, step):
        y = plots.row(token, vocabulary)
        canvas.box(plots.LEFT, y, plots.COLUMNS * plots.PITCH, 1, INK["grid"])
        canvas.text(plots.LEFT - 6, y - 8, str(token), INK["muted"], 12, "right")
    for share in (0.0, 0.5, 1.0):
        y = plots.CHART + (plots.CHART_HEIGHT - 1) * (1 - share)
        canvas.box(plots.LEFT, y, plots.COLUMNS * plots.PITCH, 1, INK["grid"])


def _draw_header(canvas: Canvas, world: Recording) -> None:
    hits, answered = sum(world.hits), sum(world.answered)
    share = f"{100 * hits / answered:.0f} %" if answered else "-"
    x = WIDTH - 20
    for name, value in (("right", share), ("score", f"{world.score:.6g}"), ("step", str(world.t))):
        x -= canvas.text(x, 13, value, INK["text"], 18, "right") + 6
        x -= canvas.text(x, 18, name, INK["muted"], 14, "right") + 18


def _draw_notes(canvas: Canvas, notes: Sequence[str]) -> None:
    for n, line in enumerate(notes):
        canvas.text(_SIDE_X, 282 + n * 18, line, INK["text"] if n else INK["muted"], 14)


def _draw_side(canvas: Canvas, world: Recording) -> None:
    if world.rule_belief is not None and not isinstance(world, HopReference):
        best = np.argsort(-world.rule_belief)[:_BARS].tolist()
        rows = [
            (rule_name(world, rule), float(world.rule_belief[rule]), _known(world, rule))
            for rule in best
        ]
        _draw_bars(canvas, "belief: which rule", rows)
    elif world.belief is not None:
        best = np.argsort(-world.belief)[:_BARS].tolist()
        rows = [(str(token), float(world.belief[token]), INK["glow"]) for token in best]
        _draw_bars(canvas, "belief: next token", rows)
    else:
        _draw_ages(canvas, world)


def _known(world: Recording, rule: int) -> Colour:
    """A rule's colour, grey before it was met."""
    return plots.rule_colour(world, rule, True) if rule in world.slots else INK["muted"]


def _draw_bars(canvas: Canvas, title: str, rows: Sequence[tuple[str, float, Colour]]) -> None:
    canvas.text(_SIDE_X, 281, title, INK["muted"])
    for n, (name, share, colour) in enumerate(rows):
        y = _SIDE_Y + n * 15
        canvas.box(_SIDE_X, y, _SIDE, 13, mix(INK["panel"], INK["grid"], 0.6))
        canvas.box(_SIDE_X, y, round(_SIDE * share), 13, mix(INK["panel"], colour, 0.5))
        canvas.text(_SIDE_X + 5, y - 1, name, INK["text"])
        canvas.text(_SIDE_X + _SIDE - 4, y - 1, f"{100 * share:.0f} %", INK["text"], 12, "right")


def _draw_ages(canvas: Canvas, world: Recording) -> None:
    """How quickly the agent recovers: share of right answers by the age of the regime."""
    canvas.text(_SIDE_X, 281, "hits by steps after a switch", INK["muted"])
    pitch, bottom, height = _SIDE / HORIZON, 357, 54
    for age in range(HORIZON):
        x = _SIDE_X + age * pitch
        canvas.box(x, bottom - height, pitch - 1, height, mix(INK["panel"], INK["grid"], 0.5))
        if world.answered[age]:
            filled = max(1, round(height * world.hits[age] / world.answered[age]))
            canvas.box(x, bottom - filled, pitch - 1, filled, mix(INK["panel"], INK["hit"], 0.75))
    for age, text in ((0, "0"), (10, "10"), (HORIZON - 1, f"{HORIZON - 1}+")):
        canvas.text(_SIDE_X + (age + 0.5) * pitch, bottom + 2, text, INK["muted"], 12, "middle")


def _draw_cells(canvas: Canvas, world: Recording, spoilers: bool, entry: str) -> None:
    """The last tokens in numbers, what was answered for each, and the open question."""
    recent = world.steps[-(_CELLS - 1) :]
    for n, step in enumerate(recent):
        x = _CELL_X + n * _CELL_PITCH
        _draw_cell(canvas, x, step, plots.rule_colour(world, step.rule, spoilers), spoilers)
        if step.switched and spoilers:
            canvas.box(x - 4, _CELL_Y - 8, 2, 66, INK["text"])
        if step.query:
            canvas.text(
                x + 23, _CELL_Y - 16, f"{step.token}, k {step.query}", INK["muted"], 12, "middle"
            )
    x = _CELL_X + len(recent) * _CELL_PITCH
    canvas.panel(x, _CELL_Y, 46, 36, INK["text"])
    canvas.panel(x + 2, _CELL_Y + 2, 42, 32, INK["panel"], 5)
    canvas.text(x + 23, _CELL_Y + 6, entry or "?", INK["text"], 18, "middle")
    if world.query:
        canvas.text(
            x + 23, _CELL_Y - 16, f"{world.token}, k {world.query}", INK["text"], 12, "middle"
        )


def _draw_cell(canvas: Canvas, x: float, step: Step, colour: Colour, spoilers: bool) -> None:
    share = 0.12 if step.masked else 0.8
    canvas.panel(int(x), _CELL_Y, 46, 36, mix(INK["panel"], colour, share))
    text = str(step.target) if spoilers or step.known else "?"
    canvas.text(
        x + 23, _CELL_Y + 6, text, INK["muted"] if step.masked else INK["night"], 18, "middle"
    )
    answer = "look" if step.peeked else str(step.action)
    width = canvas.text(x + 18, _CELL_Y + 42, answer, INK[step.mark], 14, "middle")
    plots.draw_mark(canvas, step.mark, x + 18 + width / 2 + 8, _CELL_Y + 51)
