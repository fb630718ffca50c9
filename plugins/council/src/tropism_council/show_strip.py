"""One episode from left to right: its regimes, and under them what both systems and the gate did."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from html import escape
from typing import NamedTuple

import numpy as np

from tropism.agents.page_style import PALETTE
from tropism_council.show_draw import path, short, ticks
from tropism_council.show_play import Floats, Life

GAP = 8
TALL, LOW, SLIM = 54, 38, 24
NARROW, WIDE, LEAST = 2.2, 8.0, 640.0
"""Pixels of a step, at least and at most, and of the whole strip, at least."""


class Track(NamedTuple):
    """A row of the strip.

    Attributes:
        name: what it shows.
        unit: of its values, or how to read it.
        height: in pixels.
        drawn: SVG within ``height``, with x in pixels.
    """

    name: str
    unit: str
    height: int
    drawn: str


class Value(NamedTuple):
    """A column that is drawn as a track.

    Attributes:
        name: what it is.
        unit: of its values.
        values: ``float64[T]``.
        color: a CSS colour.
        height: in pixels.
        line: drawn as a line from its least value on, not as columns from 0.
        threshold: marked by a broken line.
    """

    name: str
    unit: str
    values: Floats
    color: str
    height: int = LOW
    line: bool = False
    threshold: float | None = None


def strip(life: Life, threshold: float | None) -> str:
    """The strip of ``life``.

    Args:
        life: an episode.
        threshold: of the gate, if it has one.
    """
    step = min(WIDE, max(NARROW, LEAST / len(life)))
    tracks = [t for t in (_regimes(life, step), *_tracks(life, threshold, step)) if t]
    body, top = [], 0
    for track in tracks:
        body.append(f'<g transform="translate(0 {top})">{track.drawn}</g>')
        top += track.height + GAP
    width = len(life) * step
    behind = "".join(
        f'<line class="mark" x1="{t * step:.1f}" x2="{t * step:.1f}" y1="0" y2="{top - GAP}"/>'
        for t in life.switches.tolist()
    )
    below = _below(len(life), step, top + 6)
    names = "".join(
        f'<div style="height:{t.height + GAP}px;padding-bottom:{GAP}px"><b>{escape(t.name)}</b>'
        f"<span>{escape(t.unit)}</span></div>"
        for t in tracks
    )
    return (
        f'<div class="strip"><div class="names" aria-hidden="true">{names}</div>'
        '<div class="scroll" tabindex="0" role="region" aria-label="The episode, step by step; scrolls sideways">'
        f'<svg width="{width:.0f}" height="{top + 22}" role="img"><title>The episode of seed {life.episode.seed}, '
        f"step by step</title><desc>{escape(_described(life))}</desc>{behind}{''.join(body)}{below}</svg></div></div>"
    )


def _described(life: Life) -> str:
    switches = life.switches
    before = life.thinks[life.since > 10].mean() if (life.since > 10).any() else np.nan
    return (
        f"{len(life)} steps, {len(switches)} switches, System 2 in {life.thinks.mean():.0%} of the steps; "
        f"in {before:.0%} of those more than ten steps after a switch."
    )


def _tracks(life: Life, threshold: float | None, step: float) -> list[Track | None]:
    """Every track for which there are values."""
    thinks = Track("System 2", "answers", SLIM, _ticks(life.thinks, step, SLIM))
    loss, score = life.loss, life.column("score")
    found: list[Value | None] = [
        Value("loss", "nats", loss, "var(--c1)", TALL)
        if loss is not None
        else Value("reward", "of a step", life.episode.reward, "var(--c2)", TALL),
    ]
    known = threshold if threshold is not None and np.isfinite(threshold) else None
    if score is not None:
        unit = "nats" if loss is None else "probability"
        unit += ", threshold broken" if known is not None else ", no threshold"
        found.append(Value("gate's score", unit, score, "var(--c0)", TALL, True, known))
    later: list[Value | None] = [
        _value("disagreement", "of voices", life.disagreement, "var(--c3)"),
        _value("ponder steps", "of voices", life.ponder, "var(--c6)"),
        _value("memory", "of attention", life.memory, "var(--c2)"),
    ]
    drawn = [_track(v, step) for v in found if v] + [thinks]
    return [*drawn, *(_track(v, step) for v in later if v)]


def _value(name: str, unit: str, values: Floats | None, color: str) -> Value | None:
    if values is None or not np.isfinite(values).any():
        return None
    return Value(name, unit, values, color)


def _track(value: Value, step: float) -> Track:
    """Columns from zero, or a line."""
    values, height = value.values, value.height
    known = values[np.isfinite(values)]
    marks = [] if value.threshold is None else [value.threshold]
    low = float(min([known.min(), *marks])) if value.line else float(min(0.0, known.min()))
    high = float(max([known.max(), *marks]))
    high = high if high > low else low + 1.0

    def y(v: float) -> float:
        return height - (v - low) / (high - low) * height

    body = (
        _line(values, step, y, value.color)
        if value.line
        else _columns(values, step, y, value.color)
    )
    base = f'<line class="grid" x1="0" x2="{len(values) * step:.1f}" y1="{height}" y2="{height}"/>'
    for mark in marks:
        at = y(mark)
        body += (
            f'<line x1="0" x2="{len(values) * step:.1f}" y1="{at:.1f}" y2="{at:.1f}" stroke="var(--text)" '
            'stroke-width="1" stroke-dasharray="5 4"/>'
        )
    span = f"{_brief(low)} to {_brief(high)} {value.unit}"
    return Track(value.name, span, height, base + body)


def _brief(value: float) -> str:
    return short(float(f"{value:.2g}"))


def _line(values: Floats, step: float, y: Callable[[float], float], color: str) -> str:
    x = ((np.arange(len(values)) + 0.5) * step).tolist()
    d = path(x, [y(float(v)) for v in values])
    return f'<path d="{d}" fill="none" stroke="{color}" stroke-width="1.3"/>'


def _columns(values: Floats, step: float, y: Callable[[float], float], color: str) -> str:
    """One column a step, as one path."""
    zero, wide = y(0.0), max(step - 0.4, 1.0)
    d = "".join(
        f"M{t * step:.1f} {zero:.1f}V{y(v):.1f}h{wide:.1f}V{zero:.1f}z"
        for t, v in enumerate(values.tolist())
        if np.isfinite(v) and abs(y(v) - zero) >= 0.05
    )
    return f'<path d="{d}" fill="{color}"/>'


def _ticks(where: np.ndarray, step: float, height: int) -> str:
    """A bar wherever something holds."""
    d = "".join(
        f"M{t * step:.1f} 0h{max(step, 1.2):.1f}v{height}h-{max(step, 1.2):.1f}z"
        for t in np.flatnonzero(where).tolist()
    )
    line = f'<line class="grid" x1="0" x2="{len(where) * step:.1f}" y1="{height}" y2="{height}"/>'
    return f'{line}<path d="{d}" fill="var(--c0)"/>'


def _regimes(life: Life, step: float, height: int = SLIM) -> Track | None:
    """Bands in the colour of the rule in force, numbered in the order in which the rules came."""
    rules = life.label("rule_id", "rule")
    if rules is None:
        return None
    ends = [0, *life.switches.tolist(), len(life)]
    met: dict[int, int] = {}
    bands, last = [], -1
    for first, stop in itertools.pairwise(ends):
        if first == stop:
            continue
        number = met.setdefault(int(rules[first]), len(met))
        color = number % PALETTE
        color = (color + 1) % PALETTE if color == last else color
        last = color
        x, wide = first * step, (stop - first) * step
        name = f"<title>rule {rules[first]}, steps {first} to {stop - 1}</title>"
        text = (
            f'<text class="rule" x="{x + wide / 2:.1f}" y="16" text-anchor="middle">{number + 1}</text>'
            if wide > 14
            else ""
        )
        bands.append(
            f'<g>{name}<rect x="{x:.1f}" width="{wide:.1f}" height="{height}" fill="var(--c{color})"/>{text}</g>'
        )
    return Track("rule", f"{len(met)} in all", height, "".join(bands))


def _below(length: int, step: float, top: float) -> str:
    """Numbers of steps."""
    return "".join(
        f'<text class="tick" x="{t * step + (1 if t == 0 else 0):.1f}" y="{top + 8}" '
        f'text-anchor="{"start" if t == 0 else "middle"}">{"step 0" if t == 0 else short(t)}</text>'
        for t in ticks(0, length - 1, max(2, round(length * step / 110)))
        if t == 0 or t * step > 50
    )
