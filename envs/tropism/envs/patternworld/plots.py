"""The parts of a frame that show how the sequence goes: over time, and from one token to the next."""

from __future__ import annotations

from collections.abc import Sequence
from math import cos, pi, sin

import numpy as np

from tropism.envs.core.canvas import INK, SERIES, Canvas, Colour, mix
from tropism.envs.patternworld.params import SYMBOLS
from tropism.envs.patternworld.recording import FloatArray, Recording, Step, rule_name
from tropism.envs.patternworld.reference import HopReference, hop
from tropism.envs.patternworld.rules import library

COLUMNS, PITCH = 60, 8
"""Answers in view (the last column is the coming one), and pixels for each."""
LEFT, TOP, HEIGHT = 48, 60, 204
"""The plot over time."""
STRIP, MARKS, CHART, CHART_HEIGHT = 284, 311, 324, 44
"""Tops of the rule strip and the accuracy chart, middle line of the marks."""
MAP_X, MAP_Y, MAP = 556, 76, 188
"""The square map."""
WINDOW = 20
"""Answers that the running accuracy averages over."""

_RAMP = np.array([mix(INK["panel"], INK["glow"], i / 255) for i in range(256)], np.uint8)


def rule_colour(world: Recording, rule: int, spoilers: bool) -> Colour:
    """The colour of ``rule``; one for all where the truth is not to be shown."""
    return SERIES[world.slots[rule]] if spoilers else SERIES[1]


def column(index: int) -> float:
    """Middle of a column in pixels."""
    return LEFT + index * PITCH + PITCH / 2


def row(token: float, vocabulary: int) -> float:
    """Height of a token in the plot over time, in pixels."""
    return TOP + HEIGHT * (1 - (token + 0.5) / vocabulary)


def draw_sequence(canvas: Canvas, world: Recording, recent: Sequence[Step], spoilers: bool) -> None:
    """Tokens over time in the colour of their regime, on the belief, with wrong answers as crosses."""
    v = world.params.vocabulary
    radius = 3.5 if v > SYMBOLS else 5.0
    _draw_belief(canvas, [step.belief for step in recent] + [world.belief], v)
    for n, step in enumerate(recent):
        x, colour = column(n), rule_colour(world, step.rule, spoilers)
        if step.mark == "miss":
            canvas.mark("cross", x, row(step.action, v), INK["miss"])
        if step.peeked:
            canvas.mark("diamond", x, row(step.target, v), INK["peek"], radius + 3)
        if not step.masked:
            canvas.mark("dot", x, row(step.target, v), colour, radius)
        elif spoilers or step.hit:
            canvas.mark("ring", x, row(step.target, v), colour, radius)
    canvas.box(column(len(recent)), TOP, 1, HEIGHT, INK["muted"])


def _draw_belief(canvas: Canvas, beliefs: list[FloatArray | None], vocabulary: int) -> None:
    """Each column's probabilities as a glow; the square root makes small ones visible."""
    if all(belief is None for belief in beliefs):
        return
    nothing = np.zeros(vocabulary)
    share = np.sqrt(np.clip([nothing if b is None else b for b in beliefs], 0, 1)).T
    brightest = 235 if vocabulary > SYMBOLS else 110  # the few rows of Hop are wide
    picture = _RAMP[(share * brightest).astype(np.uint8)]
    tokens = ((1 - (np.arange(HEIGHT) + 0.5) / HEIGHT) * vocabulary).astype(int)
    wide = np.repeat(picture[tokens], PITCH, axis=1)
    glow = canvas.image[TOP : TOP + HEIGHT, LEFT : LEFT + wide.shape[1]]
    np.maximum(glow, wide, out=glow)


def draw_strips(canvas: Canvas, world: Recording, recent: Sequence[Step], spoilers: bool) -> None:
    """Under the sequence: whose rule it was, which answers were right, and how accurate the last ones were."""
    if spoilers:
        _draw_rules(canvas, world, recent)
    else:
        canvas.text(LEFT + 4, STRIP, "hidden", INK["muted"])
    for n, step in enumerate(recent):
        draw_mark(canvas, step.mark, column(n), MARKS)
    _draw_accuracy(canvas, world.steps, len(recent))


def _draw_rules(canvas: Canvas, world: Recording, recent: Sequence[Step]) -> None:
    rules = [step.rule for step in recent] + [world.rule]
    switched = [step.switched for step in recent] + [world.switched]
    begins = [0, *(n for n in range(1, len(rules)) if switched[n])]
    for begin, end in zip(begins, [*begins[1:], len(rules)], strict=True):
        x, width = LEFT + begin * PITCH, (end - begin) * PITCH
        colour = rule_colour(world, rules[begin], True)
        canvas.box(x, STRIP, width - 1, 18, mix(INK["panel"], colour, 0.85))
        name = rule_name(world, rules[begin])
        if width > 7 * len(name) + 6:
            canvas.text(x + 5, STRIP, name, INK["night"], 14)
        if switched[begin]:
            canvas.box(x - 1, TOP, 1, HEIGHT, mix(INK["panel"], colour, 0.55))
            canvas.box(x - 1, STRIP - 4, 2, 26, INK["text"])


def draw_mark(canvas: Canvas, mark: str, x: float, y: float) -> None:
    """A disc for a hit, a cross for a miss, a diamond for a look."""
    shape = {"hit": "dot", "miss": "cross", "peek": "diamond"}[mark]
    canvas.mark(shape, x, y, INK[mark], 3.5)


def _draw_accuracy(canvas: Canvas, steps: Sequence[Step], count: int) -> None:
    past = steps[-(count + WINDOW) :] if count else []
    right = np.cumsum([0, *(step.hit for step in past)])
    asked = np.cumsum([0, *(not step.peeked for step in past)])
    ends = np.arange(len(past) - count, len(past)) + 1
    begins = np.maximum(ends - WINDOW, 0)
    share = (right[ends] - right[begins]) / np.maximum(asked[ends] - asked[begins], 1)
    top = CHART_HEIGHT - 2 - np.repeat((share * (CHART_HEIGHT - 2)).astype(int), PITCH)
    depth = np.arange(CHART_HEIGHT)[:, None] - top
    area = canvas.image[CHART : CHART + CHART_HEIGHT, LEFT : LEFT + count * PITCH]
    area[depth >= 0] = mix(INK["panel"], INK["hit"], 0.3)
    area[(depth >= 0) & (depth < 2)] = INK["hit"]


def draw_map(canvas: Canvas, world: Recording, recent: Sequence[Step], spoilers: bool) -> None:
    """Next token by last token: a rule is a curve here, and a switch is leaving it."""
    v, scale = world.params.vocabulary, MAP / world.params.vocabulary
    if spoilers:
        _draw_curve(canvas, world)
    told = spoilers or world.params.feedback == "closed"
    known = [True, *(told or step.known for step in recent)]
    if known[-1]:
        line = mix(INK["panel"], INK["glow"], 0.5)
        canvas.box(MAP_X + world.token * scale, MAP_Y, 1, MAP, line)
    for n, step in enumerate(recent):
        if known[n] and (spoilers or step.known):
            recency = 1 - 0.85 * (len(recent) - n) / COLUMNS
            colour = mix(INK["grid"], rule_colour(world, step.rule, spoilers), recency)
            x, y = MAP_X + step.token * scale, MAP_Y + (v - 1 - step.target) * scale
            canvas.box(x - 1, y, 4, 4, colour)
            if n == len(recent) - 1:
                canvas.mark("ring", x + 1, y + 2, INK["text"], 5.0)


def _draw_curve(canvas: Canvas, world: Recording) -> None:
    """The answers of the current rule, faintly (Order2: those for the present token before the last)."""
    rules = library(world.params)
    curves = rules.table[world.rule]
    if rules.context == "previous":
        curves = curves[world.previous : world.previous + 1]
    v = world.params.vocabulary
    x = MAP_X + (np.arange(v) * MAP / v).astype(int)
    y = MAP_Y + ((v - 1 - curves) * MAP / v).astype(int)
    colour = mix(INK["panel"], rule_colour(world, world.rule, True), 0.45)
    for dx, dy in ((0, 0), (1, 0), (0, 1), (1, 1)):
        canvas.image[y + dy, x + dx] = colour


def _seat(symbol: int, radius: float = 72.0) -> tuple[float, float]:
    angle = 2 * pi * symbol / SYMBOLS - pi / 2
    return MAP_X + MAP / 2 + radius * cos(angle), MAP_Y + MAP / 2 + radius * sin(angle)


def draw_permutation(canvas: Canvas, world: HopReference) -> None:
    """Hop: the permutation as arrows between symbols on a ring."""
    for symbol, following in enumerate(world.permutation):
        _draw_arrow(canvas, symbol, following, mix(INK["panel"], INK["muted"], 0.6), 1.2)
    _draw_symbols(canvas, [])


def draw_hops(canvas: Canvas, world: HopReference, spoilers: bool) -> None:
    """Hop: the symbol asked about, and with ``spoilers`` the way over ``k`` arrows."""
    way = [hop(world.permutation, world.token, n) for n in range(world.query if spoilers else 0)]
    for symbol in dict.fromkeys(way):
        _draw_arrow(canvas, symbol, world.permutation[symbol], INK["glow"], 2.0)
    _draw_symbols(canvas, [world.token])


def _draw_symbols(canvas: Canvas, asked: Sequence[int]) -> None:
    for symbol in range(SYMBOLS):
        x, y = _seat(symbol)
        canvas.mark("dot", x, y, INK["glow"] if symbol in asked else INK["grid"], 12.0)
        ink = INK["night"] if symbol in asked else INK["text"]
        canvas.text(x, y - 9, str(symbol), ink, 14, "middle")


def _draw_arrow(canvas: Canvas, a: int, b: int, colour: Colour, width: float) -> None:
    """An arrow from rim to rim; a loop outside the ring for a symbol that stays."""
    if a == b:
        canvas.mark("ring", *_seat(a, 84.0), colour, 10.0)
        return
    (ax, ay), (bx, by) = _seat(a), _seat(b)
    length = float(np.hypot(bx - ax, by - ay))
    ux, uy = (bx - ax) / length, (by - ay) / length
    tip = bx - 14 * ux, by - 14 * uy
    canvas.line((ax + 12 * ux, ay + 12 * uy), tip, colour, width)
    for side in (-1, 1):
        barb = tip[0] - 7 * ux - side * 4 * uy, tip[1] - 7 * uy + side * 4 * ux
        canvas.line(barb, tip, colour, width)
