"""A small drawing surface on a numpy array: flat shapes, anti-aliased marks and text; fast enough to film."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tropism.envs.core.font import Mask, lettering
from tropism.envs.core.shapes import SHAPES

Colour = tuple[int, int, int]
Image = npt.NDArray[np.uint8]

INK: dict[str, Colour] = {
    "night": (15, 18, 25),
    "panel": (24, 29, 39),
    "grid": (40, 47, 61),
    "muted": (132, 144, 165),
    "text": (230, 236, 245),
    "hit": (70, 205, 165),
    "miss": (255, 107, 84),
    "peek": (122, 167, 255),
    "glow": (206, 196, 255),
}
"""Colours of the house; hits and misses also differ in shape, for eyes that do not part green from red."""
SERIES: tuple[Colour, ...] = (
    (240, 168, 32),
    (86, 180, 233),
    (211, 128, 178),
    (64, 190, 140),
    (244, 228, 92),
    (150, 135, 255),
    (235, 110, 60),
    (178, 190, 200),
)
"""Distinct colours for what has no order, after Okabe and Ito (https://jfly.uni-koeln.de/color/), lightened
for a dark ground."""


class Stencil(NamedTuple):
    """A mask in one colour, ready to blend: ``picture * keep + add``, in 256ths.

    Attributes:
        keep: share of the ground that stays, ``uint16[h, w, 1]``.
        add: what is put on it, ``uint16[h, w, 3]``.
    """

    keep: npt.NDArray[np.uint16]
    add: npt.NDArray[np.uint16]


@functools.lru_cache(maxsize=4096)
def mix(a: Colour, b: Colour, share: float) -> Colour:
    """Colour ``share`` of the way from ``a`` to ``b``."""
    red, green, blue = (round(x + (y - x) * share) for x, y in zip(a, b, strict=True))
    return red, green, blue


class Canvas:
    """An image under construction.

    Args:
        width: in pixels.
        height: in pixels.
        ground: colour it is filled with.

    Coordinates are pixels from the top left; marks are centred; what leaves the image is cut off.
    """

    def __init__(self, width: int, height: int, ground: Colour) -> None:
        self.image: Image = np.empty((height, width, 3), np.uint8)
        self.image[:] = ground

    def copy(self) -> Canvas:
        """A canvas with the same picture, to draw further on."""
        twin = object.__new__(Canvas)
        twin.image = self.image.copy()
        return twin

    def part(self, x: int, y: int, width: int, height: int) -> Canvas:
        """A canvas on a rectangle of this one, with coordinates of its own: what leaves it is cut off."""
        part = object.__new__(Canvas)
        part.image = self.image[y : y + height, x : x + width]
        return part

    def box(self, x: float, y: float, width: float, height: float, colour: Colour) -> None:
        """Fill a rectangle."""
        left, top = int(x), int(y)
        bottom, right = max(top + int(height), 0), max(left + int(width), 0)
        self.image[max(top, 0) : bottom, max(left, 0) : right] = _pixel(colour)

    def panel(
        self, x: int, y: int, width: int, height: int, colour: Colour, radius: int = 6
    ) -> None:
        """Fill a rectangle with rounded corners."""
        self.stamp(x, y, _panel(width, height, radius, colour))

    def stamp(self, x: float, y: float, stencil: Stencil) -> None:
        """Blend a stencil in, its top left corner at ``(x, y)``."""
        left, top = round(x), round(y)
        keep, add = stencil
        height, width = keep.shape[:2]
        rows, columns = self.image.shape[:2]
        if left < 0 or top < 0 or left + width > columns or top + height > rows:
            inside = (
                slice(max(-top, 0), max(rows - top, 0)),
                slice(max(-left, 0), max(columns - left, 0)),
            )
            keep, add = keep[inside], add[inside]
            left, top = max(left, 0), max(top, 0)
            height, width = keep.shape[:2]
        ground = self.image[top : top + height, left : left + width]
        ground[:] = (ground * keep + add) >> 8

    def text(
        self, x: float, y: float, text: str, colour: Colour, size: int = 12, anchor: str = "left"
    ) -> int:
        """Write one line, its top at ``y``; ``anchor`` (left, middle, right) says which point ``x`` is.

        Returns:
            The width of the line in pixels.
        """
        stencil = _text(text, size, colour)
        width = stencil.keep.shape[1]
        shift = {"left": 0.0, "middle": width / 2, "right": float(width)}[anchor]
        self.stamp(x - shift, y, stencil)
        return width

    def mark(self, kind: str, x: float, y: float, colour: Colour, radius: float = 3.5) -> None:
        """A small shape, centred at ``(x, y)``.

        Filled: ``dot``, ``square``, ``drop``, ``triangle``, ``burst`` (with spikes) and ``cross``; outlines:
        ``ring``, ``diamond``, and ``open `` before the name of a filled one.
        """
        stencil = _mark(kind, radius, colour)
        half = stencil.keep.shape[0] // 2
        self.stamp(x - half, y - half, stencil)

    def line(
        self, a: tuple[float, float], b: tuple[float, float], colour: Colour, width: float = 1.5
    ) -> None:
        """A straight stroke from ``a`` to ``b``."""
        left, top = int(min(a[0], b[0]) - width - 1), int(min(a[1], b[1]) - width - 1)
        span = int(abs(a[0] - b[0]) + 2 * width + 3), int(abs(a[1] - b[1]) + 2 * width + 3)
        ends = (a[0] - left, a[1] - top, b[0] - left, b[1] - top)
        self.stamp(left, top, _stroke(span, ends, width, colour))


@functools.lru_cache(maxsize=1024)
def _pixel(colour: Colour) -> Image:
    return np.array(colour, np.uint8)


def _stencil(mask: Mask, colour: Colour) -> Stencil:
    share = ((mask.astype(np.uint32) * 256 + 127) // 255).astype(np.uint16)
    return Stencil(256 - share[..., None], share[..., None] * np.array(colour, np.uint16))


def _coverage(distance: npt.NDArray[Any]) -> Mask:
    """Coverage of pixels whose centres lie at a signed distance from an edge (negative is inside)."""
    return (np.clip(0.5 - distance, 0.0, 1.0) * 255).astype(np.uint8)


@functools.lru_cache(maxsize=2048)
def _text(text: str, size: int, colour: Colour) -> Stencil:
    return _stencil(lettering(text, size), colour)


@functools.lru_cache(maxsize=512)
def _mark(kind: str, radius: float, colour: Colour) -> Stencil:
    half = int(radius + 2)
    y, x = np.mgrid[-half : half + 1, -half : half + 1]
    shape = kind.removeprefix("open ")
    distance = SHAPES[shape](x, y, radius)
    if shape != kind:
        distance = np.abs(distance + 0.75) - 0.75
    return _stencil(_coverage(distance), colour)


@functools.lru_cache(maxsize=512)
def _panel(width: int, height: int, radius: int, colour: Colour) -> Stencil:
    y, x = np.mgrid[0:height, 0:width]
    dx = np.maximum(np.abs(x - (width - 1) / 2) - (width / 2 - radius), 0)
    dy = np.maximum(np.abs(y - (height - 1) / 2) - (height / 2 - radius), 0)
    return _stencil(_coverage(np.hypot(dx, dy) - radius), colour)


@functools.lru_cache(maxsize=512)
def _stroke(
    span: tuple[int, int], ends: tuple[float, float, float, float], width: float, colour: Colour
) -> Stencil:
    y, x = np.mgrid[0 : span[1], 0 : span[0]]
    ax, ay, bx, by = ends
    length = (bx - ax) ** 2 + (by - ay) ** 2 or 1.0
    along = np.clip(((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / length, 0, 1)
    distance = np.hypot(x - ax - along * (bx - ax), y - ay - along * (by - ay)) - width / 2
    return _stencil(_coverage(distance), colour)
