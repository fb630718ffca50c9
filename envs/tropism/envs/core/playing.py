"""What every game between a person and an environment begins and ends with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TextIO, TypeVar

from tropism.errors import OptionError, UnknownNameError

MODES = ("terminal", "window")


class Game(Protocol):
    """An episode played by hand, whatever shows it."""

    def result(self) -> Any:
        """How it stands; its ``str`` is the summary."""

    def close(self) -> None:
        """Close the environment."""


Playable = TypeVar("Playable", bound=Game)


def check_request(mode: str, seed: int | None, steps: int | None) -> None:
    """Refuse what no game can be made from.

    Raises:
        UnknownNameError: for an unknown mode; the nearest name is suggested.
        OptionError: for ``steps`` or ``seed`` out of range.
    """
    if mode not in MODES:
        raise UnknownNameError("mode of play", mode, MODES)
    for name, value, low in (("seed", seed, 0), ("steps", steps, 1)):
        if value is not None and value < low:
            raise OptionError(f"{name} must be None or an integer >= {low}, got {value!r}")


def play_out(game: Playable, player: Callable[[Playable], None], screen: TextIO) -> Any:
    """Let ``player`` play ``game``; Ctrl-C ends it as well.  Print the result and return it."""
    try:
        player(game)
    except KeyboardInterrupt:
        screen.write("\n")
    finally:
        game.close()
    screen.write(f"{game.result()}\n")
    return game.result()
