"""Play PatternWorld yourself, in the terminal or in a window, against the ideal observer."""

from __future__ import annotations

import sys
from typing import TextIO

from tropism.envs.core.playing import check_request, play_out
from tropism.envs.patternworld.game import Game, PlayResult


def play(
    env_id: str,
    mode: str = "terminal",
    seed: int | None = None,
    feedback: str | None = None,
    steps: int | None = None,
    *,
    source: TextIO | None = None,
    screen: TextIO | None = None,
) -> PlayResult:
    """Let a person play one episode and print how it went.

    Tokens are typed as numbers, Enter after each; on Hop one key is enough.  ``p`` looks at the answer in
    ``probe`` mode, ``q`` or Ctrl-C ends the game.  Without a terminal, answers are read line by line.

    Args:
        env_id: a PatternWorld id, such as ``tropism/PatternWorld-Switch-v0``.
        mode: ``terminal`` or ``window`` (needs ``tropism[render]``).
        seed: of the episode, at least 0; ``None`` draws one, which the summary names.
        feedback: ``reveal``, ``bandit``, ``probe`` or ``closed``; ``None`` takes the default of the id.
        steps: most answers, at least 1; ``None`` plays to the end of the episode.
        source: where answers are read from in ``terminal`` mode; ``None`` is the standard input.
        screen: what is written to; ``None`` is the standard output.

    Returns:
        Steps, score and the ideal observer's score.

    Raises:
        UnknownNameError: for an unknown mode or feedback; the nearest names are suggested.
        OptionError: for ``steps`` or ``seed`` out of range.
        UnsupportedTaskError: if ``env_id`` is no PatternWorld.
        gymnasium.error.DependencyNotInstalled: if the window needs pygame and it is missing.
    """
    check_request(mode, seed, steps)
    out: TextIO = screen or sys.stdout
    game = Game(env_id, seed, feedback, steps, "rgb_array" if mode == "window" else None)
    if mode == "window":
        from tropism.envs.patternworld.play_window import play_window

        return play_out(game, play_window, out)
    from tropism.envs.patternworld.play_terminal import play_terminal

    return play_out(game, lambda game: play_terminal(game, source or sys.stdin, out), out)
