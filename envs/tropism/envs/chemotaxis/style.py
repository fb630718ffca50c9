"""What things look like: one shape and one colour each, told apart without parting green from red."""

from __future__ import annotations

from typing import NamedTuple

from tropism.envs.core.canvas import INK, SERIES, Colour, mix


class Look(NamedTuple):
    """A shape of :meth:`~tropism.envs.core.canvas.Canvas.mark`, its colour, and a letter for text."""

    shape: str
    colour: Colour
    letter: str


HARMFUL = Look("burst", INK["miss"], "✱")
OUT_OF_SEASON = Look("cross", INK["miss"], "×")
KINDS = {
    "food": Look("dot", INK["hit"], "●"),
    "water": Look("drop", SERIES[1], "◆"),
    "brine": Look("square", SERIES[2], "■"),
    "red": Look("triangle", SERIES[6], "▲"),
    "blue": Look("square", SERIES[1], "■"),
    "shelter": Look("square", SERIES[5], "⌂"),
}
"""Kinds of sources, where they do good, and the other thing that is smelt."""
OTHER = Look("dot", SERIES[7], "●")
CUE, STORM = SERIES[4], INK["miss"]
NEEDS = {"energy": INK["hit"], "hydration": SERIES[1], "integrity": SERIES[2]}
"""Colours of the needs, that of the kind which satisfies them."""
TRAIL = INK["glow"]


def look(kind: str, harmful: bool = False) -> Look:
    """How a source of ``kind`` is drawn."""
    return HARMFUL if harmful else KINDS.get(kind, OTHER)


def dim(colour: Colour, share: float) -> Colour:
    """``colour`` at ``share`` of its strength on a panel."""
    return mix(INK["panel"], colour, share)
