"""A window on the screen for frames and keys, through pygame (the extra ``render``)."""

from __future__ import annotations

from typing import Any

from gymnasium.error import DependencyNotInstalled

from tropism.envs.core.canvas import Image


def import_pygame() -> Any:
    """The module pygame.

    Raises:
        gymnasium.error.DependencyNotInstalled: if it is missing; the message has the remedy.
    """
    try:
        import pygame
    except ImportError as error:
        raise DependencyNotInstalled(
            'a window needs pygame, which is not installed: pip install "tropism[render]"'
        ) from error
    return pygame


class Window:
    """One window; it opens with the first frame.  Only pygame's display is started, never its sound.

    Args:
        title: shown in its bar.
        fps: most frames per second that :meth:`show` lets pass when it paces.
    """

    def __init__(self, title: str, fps: int) -> None:
        import_pygame()  # refuse at once, not with the first frame
        self._title, self._fps = title, fps
        self._screen: Any = None

    @property
    def pygame(self) -> Any:
        """The module pygame; not an attribute, because modules do not pickle."""
        return import_pygame()

    def show(self, frame: Image, *, pace: bool = True) -> None:
        """Show ``frame`` (``uint8[H, W, 3]``); with ``pace``, wait until its time has come."""
        if self._screen is None:
            self.pygame.display.init()
            self.pygame.display.set_caption(self._title)
            self._screen = self.pygame.display.set_mode((frame.shape[1], frame.shape[0]))
            self._clock = self.pygame.time.Clock()
        self.pygame.surfarray.blit_array(self._screen, frame.swapaxes(0, 1))
        self.pygame.event.pump()
        self.pygame.display.flip()
        if pace:
            self._clock.tick(self._fps)

    def close(self) -> None:
        """Close the window; closing it twice is allowed."""
        if self._screen is not None:
            self.pygame.display.quit()
            self._screen = None
