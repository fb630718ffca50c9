"""Still and moving pictures on disk, through Pillow (the extra ``render``)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from gymnasium.error import DependencyNotInstalled

from tropism.envs.core.canvas import INK, SERIES, Image, mix
from tropism.errors import OptionError

_SHARES = (0.12, 0.25, 0.4, 0.55, 0.7, 0.85, 1.0)
FORMATS = (".gif", ".png")
"""Kinds of moving pictures: GIF in 256 colours of the house, PNG (animated) in all colours."""


def import_pillow() -> Any:
    """The module ``PIL.Image``.

    Raises:
        gymnasium.error.DependencyNotInstalled: if it is missing; the message has the remedy.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise DependencyNotInstalled(
            'saving pictures needs Pillow, which is not installed: pip install "tropism[render]"'
        ) from error
    return Image


def save_picture(
    path: str | os.PathLike[str], frame: Image, size: tuple[int, int] | None = None
) -> Path:
    """Write ``frame`` (``uint8[H, W, 3]``) as a PNG in colours of the house, which makes it small.

    Args:
        path: where to.
        frame: the picture.
        size: ``(width, height)`` to shrink it to.
    """
    image = import_pillow().fromarray(frame)
    if size is not None:
        image = image.resize(size, import_pillow().Resampling.LANCZOS)
    _in_house_colours(image).save(path, "PNG", optimize=True)
    return Path(path)


def save_film(
    path: str | os.PathLike[str], frames: Sequence[Image], step_ms: int = 120, hold_ms: int = 2000
) -> Path:
    """Write ``frames`` (each ``uint8[H, W, 3]``) as a film that repeats.

    Args:
        path: ``*.gif`` or ``*.png`` (an animated PNG).
        frames: at least one.
        step_ms: duration of a frame in milliseconds, at least 20, the least that browsers keep to.
        hold_ms: duration of the last one.

    Raises:
        OptionError: for another format, no frame or too short a duration.
        gymnasium.error.DependencyNotInstalled: without Pillow.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in FORMATS:
        raise OptionError(f"a film's path must end in {' or '.join(FORMATS)}, got {str(path)!r}")
    if not len(frames):
        raise OptionError("a film needs at least one frame, got none")
    if step_ms < 20 or hold_ms < 20:
        raise OptionError(f"step_ms and hold_ms must be at least 20, got {step_ms}, {hold_ms}")
    images = [import_pillow().fromarray(frame) for frame in frames]
    if suffix == ".gif":
        images = [_in_house_colours(image) for image in images]
    durations = [step_ms] * (len(images) - 1) + [hold_ms]
    options = {"save_all": True, "append_images": images[1:], "duration": durations, "loop": 0}
    images[0].save(path, suffix[1:].upper(), optimize=True, **options)
    return Path(path)


@cache
def _palette() -> Any:
    """Colours of the house and steps from the ground to them, at most 256."""
    inks = [*INK.values(), *SERIES]
    colours = [mix(INK["panel"], ink, share) for ink in inks for share in _SHARES]
    colours += [mix(INK["night"], ink, share) for ink in inks[:2] + inks[3:5] for share in _SHARES]
    colours += [INK["night"], INK["panel"]]
    palette = import_pillow().new("P", (1, 1))
    palette.putpalette([level for colour in dict.fromkeys(colours) for level in colour])
    return palette


def _in_house_colours(image: Any) -> Any:
    return image.quantize(palette=_palette(), dither=import_pillow().Dither.NONE)
