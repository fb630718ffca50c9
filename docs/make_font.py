"""Rasterise the glyphs that frames are lettered with into ``envs/tropism/envs/core/font.npz``.

Source: Aileron Regular by Sora Sagano (https://dotcolon.net/fonts/aileron, CC0), as shipped in Pillow.
Run once; rendering then needs neither Pillow nor a font file::

    python docs/make_font.py
"""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
from PIL import Image, ImageDraw, ImageFont

GLYPHS = "".join(chr(c) for c in range(32, 127)) + "±·…"
SIZES = (12, 14, 18, 28)
TARGET = Path(__file__).parents[1] / "envs" / "tropism" / "envs" / "core" / "font.npz"


def rasterise(size: int) -> tuple[np.ndarray, np.ndarray]:
    """All glyphs side by side as coverage ``uint8[H, W]``, and where each begins, ``int16[n + 1]``.

    Each is drawn alone: some reach a pixel into their neighbour's place.
    """
    font = cast("ImageFont.FreeTypeFont", ImageFont.load_default(size))
    images = [draw(glyph, round(font.getlength(glyph)), font) for glyph in GLYPHS]
    starts = np.cumsum([0] + [image.shape[1] for image in images])
    return np.concatenate(images, axis=1), starts.astype(np.int16)


def draw(glyph: str, width: int, font: ImageFont.FreeTypeFont) -> np.ndarray:
    """One glyph as coverage ``uint8[H, width]``."""
    image = Image.new("L", (width, sum(font.getmetrics())))
    ImageDraw.Draw(image).text((0, 0), glyph, fill=255, font=font)
    return np.asarray(image)


def main() -> None:
    """Write the atlas."""
    arrays: dict[str, np.ndarray] = {"glyphs": np.array(GLYPHS), "sizes": np.array(SIZES)}
    for size in SIZES:
        arrays[f"coverage_{size}"], arrays[f"start_{size}"] = rasterise(size)
    np.savez_compressed(TARGET, allow_pickle=False, **arrays)
    print(f"{TARGET}: {TARGET.stat().st_size} bytes")


if __name__ == "__main__":
    main()
