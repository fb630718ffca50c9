"""The window side of human play."""

from __future__ import annotations

from typing import Any

from tropism.envs.chemotaxis.env import ChemotaxisEnv
from tropism.envs.chemotaxis.frame import Frames
from tropism.envs.chemotaxis.game import Game
from tropism.envs.chemotaxis.keys import KEYS_TO_ACTION, TYPED
from tropism.envs.core.window import Window

NOTES = ("move: arrows", "stay: space", "show all: v", "quit: q")


def play_window(game: Game) -> None:
    """Play until the player quits (``q``, Escape, or closing the window); the end of the life shows everything."""
    window = Window(f"Chemotaxis {game.params.level}", ChemotaxisEnv.metadata["render_fps"])
    frames, keyboard = Frames(game.params), Keyboard(game)
    try:
        while not keyboard.quit:
            frame = (
                frames.draw(game.view, whole=True)
                if game.over
                else frames.draw(game.view, truth=game.truth, notes=NOTES)
            )
            window.show(frame, pace=False)
            keyboard.take(window.pygame, window.pygame.event.wait())
    finally:
        window.close()


class Keyboard:
    """Turns keys into steps.

    Attributes:
        quit: the player has had enough, or pressed a key after the end.
    """

    def __init__(self, game: Game) -> None:
        self._game, self.quit = game, False

    def take(self, pygame: Any, event: Any) -> None:
        """Act on one pygame event."""
        if event.type == pygame.QUIT:
            self.quit = True
        elif event.type == pygame.KEYDOWN:
            self._press(pygame, event)

    def _press(self, pygame: Any, event: Any) -> None:
        action = KEYS_TO_ACTION.get((event.key,), TYPED.get(event.unicode))
        if self._game.over or event.key in (pygame.K_ESCAPE, pygame.K_q):
            self.quit = True
        elif event.key == pygame.K_v:
            self._game.truth = not self._game.truth
        elif action is not None:
            self._game.act(action)
