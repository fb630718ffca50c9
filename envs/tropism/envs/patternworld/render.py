"""Rendering of PatternWorld: frames, text and a window, from the record of the episode."""

from __future__ import annotations

from typing import Any

from tropism.envs.core.canvas import Image
from tropism.envs.core.window import Window
from tropism.envs.patternworld.frame import Frames
from tropism.envs.patternworld.params import Params
from tropism.envs.patternworld.recording import Recording, make_recording
from tropism.envs.patternworld.text import draw_text


class Renderer:
    """Watches one environment.

    Args:
        params: the task.
        mode: ``rgb_array``, ``ansi`` or ``human``.
        fps: pace of the window.
    """

    def __init__(self, params: Params, mode: str, fps: int) -> None:
        self.recording: Recording = make_recording(params)
        self._mode = mode
        self._frames = Frames(params)
        self._window: Window | None = None
        if mode == "human":
            self._window = Window(f"PatternWorld {params.tier}", fps)
            self.recording.on_change = self._show

    def render(self) -> Image | str | None:
        """A frame ``uint8[480, 768, 3]``, text, or ``None`` in ``human`` mode, where the window has it."""
        if self._mode == "ansi":
            return draw_text(self.recording)
        frame = self._frames.draw(self.recording)
        if self._window is None:
            return frame
        self._window.show(frame, pace=False)
        return None

    def believe(self, tokens: Any, rules: Any) -> None:
        """Show a belief about the coming token with the next frame, and keep it under the past ones."""
        self.recording.announce(tokens, rules)
        if self._window is not None:
            self._window.show(self._frames.draw(self.recording), pace=False)

    def close(self) -> None:
        """Close the window, if there is one."""
        if self._window is not None:
            self._window.close()

    def _show(self) -> None:
        if self._window is not None:
            self._window.show(self._frames.draw(self.recording))
