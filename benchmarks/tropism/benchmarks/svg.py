"""Plots as inline SVG, drawn by hand: no script, no font, no file beside the page.

Coordinates are CSS pixels of the ``viewBox``; colours are CSS variables of the page (``--c0``, ...), so that a
plot follows the reader's light or dark scheme.  Labels stand at the lines, and colour is never the only sign.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 340, 230
LEFT, RIGHT, TOP, BOTTOM = 40, 84, 14, 38
LINE = 12
"""Least distance of two labels, one above the other."""
REACH = 60
"""Labels that begin farther apart than this do not touch."""

Scale = Callable[[float], float]


@dataclass(frozen=True)
class Series:
    """A named line or point.

    Attributes:
        name: Its label.
        color: A CSS colour.
        points: ``(x, y)``, at least one; a not-a-number y interrupts the line.
        dashed: Drawn broken: a reference.
    """

    name: str
    color: str
    points: tuple[tuple[float, float], ...]
    dashed: bool = False


def whisker(value: float, low: float, high: float, limits: tuple[float, float], color: str) -> str:
    """A dot with its interval on a common scale, as wide as the table cell it stands in."""
    x = linear(limits, (5.0, 95.0))
    a, b, c = (f"{x(min(max(v, limits[0]), limits[1])):.1f}%" for v in (low, high, value))
    return (
        '<svg class="whisker" aria-hidden="true">'
        '<line x1="5%" x2="95%" y1="8" y2="8" class="track"/>'
        f'<line x1="{a}" x2="{b}" y1="8" y2="8" stroke="{color}" stroke-width="2.5"/>'
        f'<circle cx="{c}" cy="8" r="4.5" fill="{color}"/></svg>'
    )


def lines(series: Sequence[Series], x_title: str, y_title: str) -> str:
    """Lines over a common, linear x axis, each labelled at its end."""
    xs, ys = _values(series)
    x, y = linear((min(xs), max(xs)), _across()), linear(_padded(ys), _down())
    body = [_axes(x, y, _ticks(min(xs), max(xs), 6), _ticks(*_padded(ys), 5), x_title, y_title)]
    for one in series:
        dash = ' stroke-dasharray="4 3"' if one.dashed else ""
        body.append(
            f'<path d="{_path(one, x, y)}" fill="none" stroke="{one.color}" stroke-width="2"{dash}/>'
        )
    body += _labels([(one, WIDTH - RIGHT + 6, y(_last(one))) for one in series])
    return _svg(body, f"{y_title} by {x_title}")


def scatter(series: Sequence[Series], x_title: str, y_title: str) -> str:
    """Points over a logarithmic x axis, each labelled."""
    xs, ys = _values(series)
    low, high = min(xs) / 1.25, max(max(xs) * 1.25, min(xs) * 2.5)
    x, y = logarithmic((low, high), _across()), linear(_padded(ys), _down())
    body = [_axes(x, y, _log_ticks(low, high), _ticks(*_padded(ys), 5), x_title, y_title)]
    for one in sorted(series, key=lambda each: each.dashed):  # rings last, around what they cover
        (px, py), fill = one.points[0], "none" if one.dashed else one.color
        body.append(
            f'<circle cx="{x(px):.1f}" cy="{y(py):.1f}" r="{7 if one.dashed else 5}" fill="{fill}" stroke="{one.color}" stroke-width="2"/>'
        )
    body += _labels([(one, x(one.points[0][0]) + 9, y(one.points[0][1])) for one in series])
    return _svg(body, f"{y_title} by {x_title}")


def linear(domain: tuple[float, float], span: tuple[float, float]) -> Scale:
    """The affine map of ``domain`` onto ``span``; a domain of no width goes to the middle."""
    (a, b), (p, q) = domain, span
    return lambda v: p + (v - a) / (b - a) * (q - p) if b > a else (p + q) / 2


def logarithmic(domain: tuple[float, float], span: tuple[float, float]) -> Scale:
    """The same on a logarithmic scale; ``domain`` is positive."""
    inner = linear((math.log(domain[0]), math.log(domain[1])), span)
    return lambda v: inner(math.log(v))


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Positions near ``wanted``, in its order of height, at least ``gap`` apart, in [low, high] if they fit."""
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    placed = list(wanted)
    floor = low
    for i in order:
        placed[i] = max(placed[i], floor)
        floor = placed[i] + gap
    ceiling = high
    for i in reversed(order):
        placed[i] = min(placed[i], ceiling)
        ceiling = placed[i] - gap
    return placed


def _labels(wanted: list[tuple[Series, float, float]]) -> list[str]:
    """Names beside their lines or points, kept from covering each other."""
    columns: list[list[tuple[Series, float, float]]] = []
    for label in sorted(wanted, key=lambda item: item[1]):
        if columns and label[1] - columns[-1][-1][1] < REACH:
            columns[-1].append(label)
        else:
            columns.append([label])
    placed = []
    for column in columns:
        heights = spread([y for _, _, y in column], LINE, TOP + 2, HEIGHT - BOTTOM)
        placed += [(one, x, y) for (one, x, _), y in zip(column, heights, strict=True)]
    return [
        f'<text class="label" x="{x:.1f}" y="{y + 4:.1f}" fill="{one.color}">{escape(one.name)}</text>'
        for one, x, y in placed
    ]


def _axes(
    x: Scale,
    y: Scale,
    x_ticks: Iterable[float],
    y_ticks: Iterable[float],
    x_title: str,
    y_title: str,
) -> str:
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    parts = [
        f'<line class="grid" x1="{LEFT}" x2="{right}" y1="{y(v):.1f}" y2="{y(v):.1f}"/>'
        f'<text class="tick" x="{LEFT - 5}" y="{y(v) + 4:.1f}" text-anchor="end">{v:g}</text>'
        for v in y_ticks
    ]
    parts += [
        f'<text class="tick" x="{x(v):.1f}" y="{bottom + 14}" text-anchor="middle">{v:g}</text>'
        for v in x_ticks
    ]
    parts.append(f'<line class="axis" x1="{LEFT}" x2="{right}" y1="{bottom}" y2="{bottom}"/>')
    middle = (LEFT + right) / 2
    parts.append(
        f'<text class="title" x="{middle}" y="{HEIGHT - 8}" text-anchor="middle">{escape(x_title)}</text>'
    )
    parts.append(f'<text class="title" x="2" y="10">{escape(y_title)}</text>')
    return "".join(parts)


def _svg(body: Iterable[str], title: str) -> str:
    return (
        f'<svg class="plot" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"><title>{escape(title)}</title>'
        f"{''.join(body)}</svg>"
    )


def _path(one: Series, x: Scale, y: Scale) -> str:
    """SVG path data, with a gap where y is not a number."""
    steps, pen = [], "M"
    for px, py in one.points:
        if math.isnan(py):
            pen = "M"
            continue
        steps.append(f"{pen}{x(px):.1f} {y(py):.1f}")
        pen = "L"
    return "".join(steps)


def _values(series: Sequence[Series]) -> tuple[list[float], list[float]]:
    points = [point for one in series for point in one.points if not math.isnan(point[1])]
    return [px for px, _ in points], [py for _, py in points]


def _last(one: Series) -> float:
    return next(py for _, py in reversed(one.points) if not math.isnan(py))


def _across() -> tuple[float, float]:
    return float(LEFT), float(WIDTH - RIGHT)


def _down() -> tuple[float, float]:
    return float(HEIGHT - BOTTOM), float(TOP + 6)


def _padded(values: Sequence[float]) -> tuple[float, float]:
    """From zero, or the least value below it, with a little room under it, to the greatest."""
    low, high = min([0.0, *values]), max(values)
    high = high if high > low else low + 1.0
    return low - 0.04 * (high - low), high


def _ticks(low: float, high: float, about: int) -> list[float]:
    """Round numbers in [low, high]: steps of 1, 2 or 5 times a power of ten."""
    raw = (high - low) / about or 1.0
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= raw)
    return [round(i * step, 10) for i in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    """1, 2, 5 times powers of ten in [low, high]; powers alone over more than three decades."""
    tens = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    factors = (1, 2, 5) if high / low < 1000 else (1,)
    return [m * 10.0**p for p in tens for m in factors if low <= m * 10.0**p <= high]
