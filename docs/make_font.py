"""Rasterise the glyphs that frames are lettered with into ``envs/tropism/envs/core/font.npz``.

Source: Aileron Regular by Sora Sagano (https://dotcolon.net/fonts/aileron, CC0), as shipped in Pillow.
Run once; rendering then needs neither Pillow nor a font file::

    python docs/make_font.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

GLYPHS = "".join(chr(c) for c in range(32, 127)) + "±·…"
SIZES = (12, 14, 18, 28)
TARGET = Path(__file__).parents[1] / "envs" / "tropism" / "envs" / "core" / "font.npz"


def rasterise(size: int) -> tuple[np.ndarray, np.ndarray]:
    """All glyphs side by side as coverage ``uint8[H, W]``, and where each begins, ``int16[n + 1]``."""
    font = ImageFont.load_default(size)
    ascent, descent = font.getmetrics()
    starts = np.cumsum([0] + [round(font.getlength(glyph)) for glyph in GLYPHS])
    image = Image.new("L", (int(starts[-1]), ascent + descent))
    draw = ImageDraw.Draw(image)
    for glyph, start in zip(GLYPHS, starts, strict=False):
        draw.text((int(start), 0), glyph, fill=255, font=font)
    return np.asarray(image), starts.astype(np.int16)


def main() -> None:
    """Write the atlas."""
    arrays: dict[str, np.ndarray] = {"glyphs": np.array(GLYPHS), "sizes": np.array(SIZES)}
    for size in SIZES:
        arrays[f"coverage_{size}"], arrays[f"start_{size}"] = rasterise(size)
    np.savez_compressed(TARGET, allow_pickle=False, **arrays)
    print(f"{TARGET}: {TARGET.stat().st_size} bytes")


if __name__ == "__main__":
    main()
