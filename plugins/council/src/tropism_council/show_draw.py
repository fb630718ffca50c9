"""Plots as inline SVG, drawn by hand: no script, no font, no file beside the page.

Colours are CSS variables of the page, so that a plot follows the reader's light or dark scheme.  Lines are named at their
ends or in the title, and colour is never the only sign.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from tropism_council.show_figures import Band
from tropism_council.show_play import Floats

WIDTH, HEIGHT = 340, 200
LEFT, RIGHT, TOP, BOTTOM = 44, 14, 26, 36
LINE = 12
"""Least distance of two labels, one above the other."""
Scale = Callable[[float], float]


@dataclass(frozen=True)
class Line:
    """A named line with its band.

    Attributes:
        name: its label; empty for none.
        color: a CSS colour.
        band: what is drawn; where its interval is not a number, the line alone.
        dashed: drawn broken: a reference.
        dots: a dot at each point.
        faint: drawn thin and pale, behind others.
    """

    name: str
    color: str
    band: Band
    dashed: bool = False
    dots: bool = False
    faint: bool = False


@dataclass(frozen=True)
class Frame:
    """What is around the lines of a plot.

    Attributes:
        title: above it; names the y axis.
        x_title: below it.
        at: an x that is marked by a vertical line.
        least: the y axis reaches at least from here ...
        most: ... to here.
        room: pixels at the right for names of lines.
    """

    title: str
    x_title: str
    at: float | None = None
    least: float | None = 0.0
    most: float | None = None
    room: int = 0


def plain(x: Floats, y: Floats) -> Band:
    """A line without an interval."""
    nothing = np.full(len(x), np.nan)
    return Band(x.astype(np.float64), y.astype(np.float64), nothing, nothing)


def plot(
    lines: Sequence[Line], frame: Frame, more: Callable[[Scale, Scale], str] | None = None
) -> str:
    """Lines over common, linear axes.

    Args:
        lines: at least one with a number.
        frame: around them.
        more: draws behind them, with the scales of x and y.
    """
    xs = np.concatenate([line.band.x for line in lines])
    low, high = limits(lines, frame)
    right = WIDTH - RIGHT - frame.room
    x = linear((float(xs.min()), float(xs.max())), (LEFT + 4, right))
    y = linear((low, high), (HEIGHT - BOTTOM, TOP + 6))
    body = [_axes(x, y, (float(xs.min()), float(xs.max())), (low, high), right, frame)]
    if more:
        body.append(more(x, y))
    body += [_drawn(line, x, y) for line in lines]
    body += _names(lines, right + 5, y)
    return (
        f'<svg class="plot" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"><title>{escape(frame.title)} by '
        f"{escape(frame.x_title)}</title><desc>{escape(described(lines))}</desc>{''.join(body)}</svg>"
    )


def described(lines: Iterable[Line]) -> str:
    """Lines in words: where each begins, ends, and its extremes."""
    return " ".join(_words(line) for line in lines if not line.faint)


def _words(line: Line) -> str:
    x, y = line.band.x, line.band.mean
    x, y = x[np.isfinite(y)], y[np.isfinite(y)]
    if not len(y):
        return ""
    top, bottom = int(y.argmax()), int(y.argmin())
    name = f"{line.name}: " if line.name else ""
    return (
        f"{name}{y[0]:.3g} at {x[0]:g}, {y[-1]:.3g} at {x[-1]:g}; greatest {y[top]:.3g} at {x[top]:g}, "
        f"least {y[bottom]:.3g} at {x[bottom]:g}."
    )


def limits(lines: Sequence[Line], frame: Frame) -> tuple[float, float]:
    """The ends of the y axis: all that is drawn, and what the frame asks for."""
    parts = [part for line in lines for part in line.band[1:]]
    values = np.concatenate(parts)
    values = values[np.isfinite(values)]
    asked = [v for v in (frame.least, frame.most) if v is not None]
    low, high = min([*asked, values.min()]), max([*asked, values.max()])
    high = high if high > low else low + 1.0
    room = 0.03 * (high - low)
    return float(low - room), float(high + room * (frame.most is None))


def linear(domain: tuple[float, float], span: tuple[float, float]) -> Scale:
    """The affine map of ``domain`` onto ``span``; a domain of no width goes to the middle."""
    (a, b), (p, q) = domain, span
    return lambda v: p + (v - a) / (b - a) * (q - p) if b > a else (p + q) / 2


def ticks(low: float, high: float, about: int) -> list[float]:
    """Round numbers in [low, high]: steps of 1, 2 or 5 times a power of ten."""
    raw = (high - low) / about or 1.0
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= raw * 0.999)
    return [round(i * step, 10) for i in range(math.ceil(low / step), math.floor(high / step) + 1)]


def short(value: float) -> str:
    """A tick's number: thousands as ``k``, millions as ``M``."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def path(x: Sequence[float] | Floats, y: Sequence[float] | Floats) -> str:
    """SVG path data through points, with a gap where y is not a number."""
    steps, pen = [], "M"
    for px, py in zip(x, y, strict=True):
        if not math.isfinite(py):
            pen = "M"
            continue
        steps.append(f"{pen}{px:.1f} {py:.1f}")
        pen = "L"
    return "".join(steps)


def _axes(
    x: Scale,
    y: Scale,
    across: tuple[float, float],
    up: tuple[float, float],
    right: float,
    frame: Frame,
) -> str:
    bottom = HEIGHT - BOTTOM
    parts = [
        f'<line class="grid" x1="{LEFT}" x2="{right}" y1="{y(v):.1f}" y2="{y(v):.1f}"/>'
        f'<text class="tick" x="{LEFT - 5}" y="{y(v) + 4:.1f}" text-anchor="end">{short(v)}</text>'
        for v in ticks(*up, 4)
    ]
    parts += [
        f'<text class="tick" x="{x(v):.1f}" y="{bottom + 14}" text-anchor="middle">{short(v)}</text>'
        for v in ticks(*across, 6)
    ]
    parts.append(f'<line class="axis" x1="{LEFT}" x2="{right}" y1="{bottom}" y2="{bottom}"/>')
    if frame.at is not None and across[0] <= frame.at <= across[1]:
        at = x(frame.at)
        parts.append(f'<line class="mark" x1="{at:.1f}" x2="{at:.1f}" y1="{TOP}" y2="{bottom}"/>')
    middle = (LEFT + right) / 2
    parts.append(
        f'<text class="tick" x="{middle:.0f}" y="{HEIGHT - 6}" text-anchor="middle">{escape(frame.x_title)}</text>'
        f'<text class="title" x="2" y="12">{escape(frame.title)}</text>'
    )
    return "".join(parts)


def _drawn(line: Line, x: Scale, y: Scale) -> str:
    band = line.band
    px = [x(v) for v in band.x]
    parts = [_area(band, px, y, line.color)]
    if line.faint:
        style = 'stroke-width="1" opacity=".35"'
    else:
        style = 'stroke-width="2" stroke-linejoin="round"'
    dash = ' stroke-dasharray="4 3"' if line.dashed else ""
    d = path(px, [y(v) for v in band.mean])
    parts.append(f'<path d="{d}" fill="none" stroke="{line.color}" {style}{dash}/>')
    if line.dots:
        parts += [
            f'<circle cx="{a:.1f}" cy="{y(b):.1f}" r="3.5" fill="{line.color}"/>'
            for a, b in zip(px, band.mean, strict=True)
            if math.isfinite(b)
        ]
    return "".join(parts)


def _area(band: Band, px: Sequence[float], y: Scale, color: str) -> str:
    """The interval around a line; in pieces where it is not a number."""
    known = np.isfinite(band.low) & np.isfinite(band.high)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], known, [0]])))
    shapes = []
    for first, stop in edges.reshape(-1, 2).tolist():
        there = [f"{px[i]:.1f} {y(band.high[i]):.1f}" for i in range(first, stop)]
        back = [f"{px[i]:.1f} {y(band.low[i]):.1f}" for i in reversed(range(first, stop))]
        shapes.append(f"M{'L'.join(there + back)}Z")
    fill = f'fill="{color}" opacity=".2" stroke="{color}" stroke-width=".5"'
    return f'<path d="{"".join(shapes)}" {fill}/>' if shapes else ""


def _names(lines: Sequence[Line], x: float, y: Scale) -> list[str]:
    """Names beside the ends of the lines, kept from covering each other."""
    named = [line for line in lines if line.name and np.isfinite(line.band.mean).any()]
    ends = [y(line.band.mean[np.isfinite(line.band.mean)][-1]) for line in named]
    return [
        f'<text class="label" x="{x:.1f}" y="{at + 4:.1f}" fill="{line.color}">{escape(line.name)}</text>'
        for line, at in zip(named, spread(ends, LINE, TOP + 2, HEIGHT - BOTTOM), strict=True)
    ]


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Positions near ``wanted``, in its order of height, at least ``gap`` apart, in [low, high] if they fit."""
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    placed, floor, ceiling = list(wanted), low, high
    for i in order:
        placed[i] = max(placed[i], floor)
        floor = placed[i] + gap
    for i in reversed(order):
        placed[i] = min(placed[i], ceiling)
        ceiling = placed[i] - gap
    return placed
