"""The window side of human play."""

from __future__ import annotations

from typing import Any

from tropism.envs.core.window import Window
from tropism.envs.patternworld.frame import Frames
from tropism.envs.patternworld.game import Game
from tropism.envs.patternworld.recording import Recording


def play_window(game: Game) -> None:
    """Play until the episode ends or the player quits (``q``, Escape, or closing the window)."""
    window = Window(f"PatternWorld {game.params.tier}", game.world.metadata["render_fps"])
    frames, record = Frames(game.params), game.world.reference
    assert isinstance(record, Recording)  # the environment was made with a render mode
    keyboard = Keyboard(game)
    try:
        while not (game.over or keyboard.quit):
            frame = frames.draw(record, spoilers=False, entry=keyboard.typed, notes=_notes(game))
            window.show(frame, pace=False)
            keyboard.take(window.pygame, window.pygame.event.wait())
    finally:
        window.close()


class Keyboard:
    """Turns keys into answers.

    Attributes:
        typed: digits of an answer not yet given.
        quit: the player has had enough.
    """

    def __init__(self, game: Game) -> None:
        self._game, self.typed, self.quit = game, "", False

    def take(self, pygame: Any, event: Any) -> None:
        """Act on one pygame event."""
        if event.type == pygame.QUIT:
            self.quit = True
        elif event.type == pygame.KEYDOWN:
            self._press(pygame, event)

    def _press(self, pygame: Any, event: Any) -> None:
        if event.key in (pygame.K_ESCAPE, pygame.K_q):
            self.quit = True
        elif event.key == pygame.K_BACKSPACE:
            self.typed = self.typed[:-1]
        elif event.key == pygame.K_p and self._game.params.feedback == "probe":
            self._answer(self._game.params.vocabulary)
        elif event.key in (pygame.K_RETURN, pygame.K_KP_ENTER) and self.typed:
            self._answer(int(self.typed))
        elif event.unicode.isascii() and event.unicode.isdigit():
            self._digit(event.unicode)

    def _digit(self, digit: str) -> None:
        """Add a digit if a token begins like that; on Hop it is the answer."""
        vocabulary = self._game.params.vocabulary
        if int(self.typed + digit) < vocabulary:
            self.typed += digit
            if vocabulary <= 10:
                self._answer(int(digit))

    def _answer(self, action: int) -> None:
        self.typed = ""
        self._game.answer(action)


def _notes(game: Game) -> list[str]:
    ideal = [] if game.rival.score is None else [f"ideal observer {game.rival.score:.6g}"]
    enter = "type the answer" if game.params.vocabulary <= 10 else "type the next token, Enter"
    look = ["p looks at the answer"] if game.params.feedback == "probe" else []
    return [enter, *look, "q quits", f"you {game.score:.6g}", *ideal]
