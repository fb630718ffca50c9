"""Play Chemotaxis yourself, in the terminal or in a window."""

from __future__ import annotations

import sys
from typing import TextIO

from tropism.envs.chemotaxis.game import Game, PlayResult
from tropism.envs.core.playing import check_request, play_out


def play(
    env_id: str,
    mode: str = "terminal",
    seed: int | None = None,
    steps: int | None = None,
    *,
    source: TextIO | None = None,
    screen: TextIO | None = None,
) -> PlayResult:
    """Let a person live one life and print how it went, and how well baselines live on the same seed.

    The arrows (or ``w``, ``a``, ``s``, ``d``) move, the space bar (or ``.``) stays; ``q``, Escape or Ctrl-C end the
    game.  The player is shown what the organism can know; ``v`` shows everything, or hides it again.  Without a
    terminal, letters are read line by line.

    Args:
        env_id: a Chemotaxis id, such as ``tropism/Chemotaxis-L0.2-v0``.
        mode: ``terminal`` or ``window`` (needs ``tropism[render]``).
        seed: of the episode, at least 0; ``None`` draws one, which the summary names.
        steps: most steps, at least 1; ``None`` plays to the end of the life.
        source: where keys are read from in ``terminal`` mode; ``None`` is the standard input.
        screen: what is written to; ``None`` is the standard output.

    Returns:
        Steps, visits, fitness, and that of the baselines.

    Raises:
        UnknownNameError: for an unknown mode; the nearest name is suggested.
        OptionError: for ``steps`` or ``seed`` out of range.
        UnsupportedTaskError: if ``env_id`` is no Chemotaxis.
        gymnasium.error.DependencyNotInstalled: if the window needs pygame and it is missing.
    """
    check_request(mode, seed, steps)
    out: TextIO = screen or sys.stdout
    game = Game(env_id, seed, steps)
    if mode == "window":
        from tropism.envs.chemotaxis.play_window import play_window

        return play_out(game, play_window, out)
    from tropism.envs.chemotaxis.play_terminal import play_terminal

    return play_out(game, lambda game: play_terminal(game, source or sys.stdin, out), out)
