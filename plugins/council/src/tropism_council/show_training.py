"""How a training went: every scalar that was logged, by the step at which it was."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np

from tropism_council.show_draw import Frame, Line, plain, plot
from tropism_council.show_figures import Band
from tropism_council.show_sections import section

SMOOTH = 40
"""Of the rows of training, the smoothed line averages one in so many."""
TRAINING = {
    "reflex": "loss of System 1, nats",
    "council": "loss of System 2, nats",
    "ponder": "cost of pondering, nats",
    "distil": "distillation, nats",
    "gate": "loss of the gate",
    "steps": "ponder steps",
    "gain": "gain of thought, probability",
    "value": "squared error of the value",
    "introspection": "introspection, nats",
    "right": "accuracy of System 1",
}
"""Titles of what is logged; anything else carries its own name."""
TOGETHER = ("reflex", "council")
"""Drawn in one plot, as they are losses of the same answers."""


def training(rows: Sequence[dict[str, Any]]) -> str:
    """Every scalar that was logged."""
    names = list(dict.fromkeys(name for row in rows for name in row if name != "step"))
    curves = {name: found for name in names if (found := _curve(rows, name)) is not None}
    if not curves:
        return section("Training", "Nothing was logged.", "")
    once = {name: curves.pop(name) for name in list(curves) if len(curves[name].x) == 1}
    pair = {name: curves.pop(name) for name in TOGETHER if len(curves) > 1 and name in curves}
    plots = [_pair(pair)] if pair else []
    for name, curve in curves.items():
        lines = _smoothed("", "var(--c2)", curve)
        at = {"gain": 0.0}.get(name)
        plots.append(plot(lines, Frame(_title(name), "environment steps", least=at)))
    note = "What was logged while it learned; pale as it was, strong smoothed."
    body = f'<div class="plots">{"".join(plots)}</div>' if plots else ""
    return section("Training", note, body + _told_once(once))


def _told_once(curves: dict[str, Band]) -> str:
    """What was logged once only, as a list."""
    if not curves:
        return ""
    told = "".join(
        f"<dt>{escape(_title(name))}</dt><dd>{curve.mean[0]:.4g} after {curve.x[0]:,.0f} steps</dd>"
        for name, curve in curves.items()
    )
    return f"<dl>{told}</dl>"


def _title(name: str) -> str:
    return TRAINING.get(name, name.replace("_", " "))


def _curve(rows: Sequence[dict[str, Any]], name: str) -> Band | None:
    """A scalar by the step at which it was logged; ``None`` without a number."""
    found = [(row["step"], row[name]) for row in rows if isinstance(row.get(name), int | float)]
    x, y = np.array(found, np.float64).reshape(-1, 2).T
    return plain(x, y) if len(x) else None


def _pair(curves: dict[str, Band]) -> str:
    names = {"reflex": ("System 1", "var(--c1)"), "council": ("System 2", "var(--c0)")}
    lines = [line for key, curve in curves.items() for line in _smoothed(*names[key], curve)]
    lines.sort(key=lambda line: not line.faint)
    return plot(lines, Frame("loss, nats", "environment steps", room=52))


def _smoothed(name: str, color: str, curve: Band) -> list[Line]:
    """A curve as it was, and a centred moving average."""
    wide = max(1, len(curve.x) // SMOOTH)
    if wide == 1:
        return [Line(name, color, curve)]
    sums = np.cumsum(np.concatenate([[0.0], curve.mean]))
    here = np.arange(len(curve.x))
    low, high = np.maximum(here - wide, 0), np.minimum(here + wide + 1, len(here))
    smooth = (sums[high] - sums[low]) / (high - low)
    return [Line("", color, curve, faint=True), Line(name, color, plain(curve.x, smooth))]
