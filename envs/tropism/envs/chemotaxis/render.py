"""Rendering of Chemotaxis: frames, text and a window; pictures and films of a life."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tropism.envs.chemotaxis.frame import Frames
from tropism.envs.chemotaxis.params import Params
from tropism.envs.chemotaxis.recording import Numbers, Recording
from tropism.envs.chemotaxis.text import draw_text
from tropism.envs.core.canvas import Image
from tropism.envs.core.film import save_film, save_picture
from tropism.envs.core.window import Window


class Renderer:
    """Watches one environment.

    Args:
        params: of the world.
        mode: ``rgb_array``, ``ansi`` or ``human``.
        fps: pace of the window.
    """

    def __init__(self, params: Params, mode: str, fps: int) -> None:
        self.recording = Recording(params)
        self._mode = mode
        self._frames = Frames(params)
        self._window = Window(f"Chemotaxis {params.level}", fps) if mode == "human" else None

    def note(self, sensed: Numbers, facts: Mapping[str, Any], timers: Sequence[int]) -> None:
        """Take a moment down, and show it where there is a window."""
        self.recording.note(sensed, facts, timers)
        if self._window is not None:
            self._window.show(self._draw())

    def render(self) -> Image | str | None:
        """A frame ``uint8[480, 768, 3]``, text, or ``None`` in ``human`` mode, where the window has it."""
        if self._mode == "ansi":
            return draw_text(self.recording.at())
        return self._draw() if self._window is None else None

    def close(self) -> None:
        """Close the window, if there is one."""
        if self._window is not None:
            self._window.close()

    def _draw(self) -> Image:
        return self._frames.draw(self.recording.at())


def draw_life(life: Recording, path: str | os.PathLike[str] | None = None) -> Image:
    """One picture of a whole life, ``uint8[480, 768, 3]``: the way from birth (a ring) to its end.

    Args:
        life: the record, for example of :meth:`~tropism.envs.chemotaxis.recording.Recording.from_columns`.
        path: where to write it as a PNG too (needs ``tropism[render]``).
    """
    picture = Frames(life.params).draw(life.at(), whole=True)
    if path is not None:
        save_picture(path, picture)
    return picture


def film_life(
    life: Recording, path: str | os.PathLike[str], every: int = 1, step_ms: int = 80
) -> Path:
    """Write a life as a film, ``*.gif`` or an animated ``*.png`` (needs ``tropism[render]``).

    Args:
        life: the record.
        path: where to.
        every: steps from frame to frame; the last step is always there.
        step_ms: duration of a frame in milliseconds.
    """
    last = len(life.moments) - 1
    times = [*range(0, last, every), last]
    frames = Frames(life.params)
    return save_film(path, [frames.draw(life.at(t)) for t in times], step_ms)
