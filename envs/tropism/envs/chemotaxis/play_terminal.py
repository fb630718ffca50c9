"""The terminal side of human play: prints what the player may know and reads keys."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TextIO

from tropism.envs.chemotaxis.game import Game
from tropism.envs.chemotaxis.keys import TYPED
from tropism.envs.chemotaxis.text import draw_text
from tropism.envs.core.terminal import CLEAR, ESCAPE, reader, writer

HELP = "arrows or w a s d move, space or . stays, v shows or hides what you cannot sense, q quits"
_KEY = re.compile(r"\x1b[\[O][A-D]|[^\n]", re.DOTALL)


def play_terminal(game: Game, source: TextIO, screen: TextIO) -> None:
    """Play until the life ends, the input ends, or the player quits."""
    write = writer(screen)
    clear = CLEAR if screen.isatty() else ""
    with reader(source, single_keys=True) as read:
        write(f"{clear}{game.env_id}, seed {game.seed}: {HELP}.\n\n{_text(game)}")
        while not game.over:
            typed = read()
            if not typed or not _take(game, _KEY.findall(typed), write):
                return
            write(f"{clear}{_text(game)}")


def _take(game: Game, keys: list[str], write: Callable[[str], None]) -> bool:
    """Act on some keys; say whether the game goes on."""
    for key in keys:
        if key in ("q", ESCAPE):
            return False
        if key == "v":
            game.truth = not game.truth
        elif key in TYPED:
            game.act(TYPED[key])
        else:
            write(f"{HELP}.\n")
        if game.over:
            break
    return True


def _text(game: Game) -> str:
    """The life until now, and at its end the truth."""
    return draw_text(game.view, truth=game.truth or game.over) + "\n"
