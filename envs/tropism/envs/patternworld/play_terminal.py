"""The terminal side of human play: prints what the player may know and reads answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TextIO

from tropism.envs.core.canvas import INK
from tropism.envs.core.terminal import paint, reader, writer
from tropism.envs.patternworld.game import Game, Outcome
from tropism.envs.patternworld.params import SYMBOLS

_SHOWN = 16
"""Tokens in one line."""


def play_terminal(game: Game, source: TextIO, screen: TextIO) -> None:
    """Play until the episode ends, the input ends, or the player quits."""
    write = writer(screen)
    with reader(source, single_keys=game.params.vocabulary <= 10) as read:
        write(_welcome(game))
        while not game.over:
            write(_question(game))
            action = _ask(game, read, write)
            if action is None:
                return
            write(_verdict(game, action, game.answer(action)))


def _ask(game: Game, read: Callable[[], str], write: Callable[[str], None]) -> int | None:
    """The player's next answer; ``None`` to end the game."""
    while True:
        write("next> ")
        typed = read()
        if not typed or typed.strip().lower() in ("q", "quit"):
            write("\n")
            return None
        action = _parse(game, typed.strip().lower())
        if action is not None:
            return action
        write(f"{_help(game)}.\n")


def _parse(game: Game, typed: str) -> int | None:
    if typed == "p" and game.params.feedback == "probe":
        return game.params.vocabulary
    token = int(typed) if typed.isascii() and typed.isdigit() and len(typed) < 5 else -1
    return token if 0 <= token < game.params.vocabulary else None


def _help(game: Game) -> str:
    look = ", p to look at the answer" if game.params.feedback == "probe" else ""
    return f"Type a number from 0 to {game.params.vocabulary - 1}{look}, q to quit"


def _welcome(game: Game) -> str:
    lines = [f"{game.env_id}, {game.params.feedback}, seed {game.seed}"]
    lines.append("What comes next? The rule changes without notice.")
    if game.params.family == "hop":
        lines.append(
            "After each change the row 0..7 of a permutation is shown, one place a symbol; "
            "follow it k times from the symbol asked about."
        )
    return "\n".join([*lines, _help(game) + ".", ""])


def _question(game: Game) -> str:
    if game.query:
        world = game.world.reference
        row = _latest_row(game) if world.switched or world.t == 0 else ""
        return f"\n{row}from {world.token}, k = {game.query}\n"
    tokens = game.tokens
    first = next((n for n, token in enumerate(tokens) if token is not None), 0)
    first = max(first, len(tokens) - _SHOWN)
    shown = "".join(f"{'·' if token is None else token:>4}" for token in tokens[first:])
    return f"\n{shown}   ?\n"


def _latest_row(game: Game) -> str:
    """The permutation as it stands in the observation, before the symbol asked about."""
    row = game.tokens[-SYMBOLS - 1 : -1]
    return "new permutation  " + "  ".join(f"{n}→{token}" for n, token in enumerate(row)) + "\n"


def _verdict(game: Game, action: int, outcome: Outcome) -> str:
    if outcome.peeked:
        said = paint(f"◇ it is {outcome.token}", INK["peek"])
    elif outcome.right:
        said = paint(f"● {action} is right", INK["hit"])
    else:
        truth = "" if outcome.token is None else f", it is {outcome.token}"
        said = paint(f"× {action} is wrong{truth}", INK["miss"])
    ideal = "" if game.rival.score is None else f", ideal {game.rival.score:.6g}"
    return f"{said}   you {game.score:.6g}{ideal}, after {game.answers}\n"
