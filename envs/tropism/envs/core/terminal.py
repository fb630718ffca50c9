"""The terminal, for human play: coloured text out, lines or single keys in."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from tropism.envs.core.canvas import Colour

ESCAPE = "\x1b"
CLEAR = "\x1b[2J\x1b[H"
"""Empties the screen and begins at its top."""
_CONTROL = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_PATIENCE = 0.05
"""Seconds to wait for the rest of an escape sequence; who presses Escape itself sends no rest."""


def paint(text: str, colour: Colour) -> str:
    """``text`` in 24-bit colour (SGR 38;2, ISO 8613-6)."""
    return "\x1b[38;2;{};{};{}m{}\x1b[0m".format(*colour, text)


def plain(text: str) -> str:
    """``text`` without its colours and other control sequences."""
    return _CONTROL.sub("", text)


def writer(screen: TextIO) -> Callable[[str], None]:
    """Writes at once; without colour where it would not show (https://no-color.org)."""
    colourless = not screen.isatty() or "NO_COLOR" in os.environ

    def write(text: str) -> None:
        screen.write(plain(text) if colourless else text)
        screen.flush()

    return write


@contextmanager
def reader(source: TextIO, single_keys: bool) -> Iterator[Callable[[], str]]:
    """Reads lines, or in a terminal single keys if asked; an empty answer means that the input ended.

    A key that sends an escape sequence (an arrow) is one answer: Escape, a bracket and a letter.
    """
    if not single_keys or not source.isatty():
        yield source.readline
        return
    try:
        import termios
        import tty
    except ImportError:  # no single keys on Windows: lines do
        yield source.readline
        return
    descriptor = source.fileno()
    before = termios.tcgetattr(descriptor)
    try:
        tty.setcbreak(descriptor)
        yield lambda: _key(descriptor)
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def _key(descriptor: int) -> str:
    """The next key; Ctrl-D ends the input."""
    import select

    key = os.read(descriptor, 1).decode("ascii", "replace").replace("\x04", "")
    while key.startswith(ESCAPE) and len(key) < 3:
        if not select.select([descriptor], [], [], _PATIENCE)[0]:
            break
        key += os.read(descriptor, 1).decode("ascii", "replace")
    return key
