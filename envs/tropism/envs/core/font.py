"""Anti-aliased lettering from a small atlas of glyphs, with numpy alone.

The atlas is Aileron Regular (Sora Sagano, CC0), rasterised by ``docs/make_font.py``.
"""

from __future__ import annotations

import functools
from importlib.resources import files
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.uint8]


class _Face(NamedTuple):
    """One size: coverage ``uint8[H, W]`` of all glyphs side by side, and the columns of each."""

    coverage: Mask
    columns: dict[str, slice]


@functools.cache
def _faces() -> dict[int, _Face]:
    with (
        (files("tropism.envs.core") / "font.npz").open("rb") as file,
        np.load(file, allow_pickle=False) as atlas,
    ):
        glyphs = str(atlas["glyphs"])
        return {size: _face(atlas, size, glyphs) for size in atlas["sizes"].tolist()}


def _face(atlas: np.lib.npyio.NpzFile, size: int, glyphs: str) -> _Face:
    start = atlas[f"start_{size}"].tolist()
    columns = {g: slice(a, b) for g, a, b in zip(glyphs, start, start[1:], strict=False)}
    return _Face(atlas[f"coverage_{size}"], columns)


@functools.lru_cache(maxsize=2048)
def lettering(text: str, size: int) -> Mask:
    """Coverage ``uint8[H, W]`` (0 outside, 255 inside the strokes) of one line of text.

    Args:
        text: one line; characters outside the atlas appear as ``?``.
        size: height in pixels, one of the atlas (12, 14, 18, 28).
    """
    coverage, columns = _faces()[size]
    unknown = columns["?"]
    parts = [coverage[:, columns.get(letter, unknown)] for letter in text]
    return np.concatenate(parts, axis=1) if parts else coverage[:, :0]
