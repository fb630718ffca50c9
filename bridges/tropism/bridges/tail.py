"""The last words of a game: what it wrote to its standard error, bounded."""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
from collections import deque
from collections.abc import Iterable

MAX_LINE = 1000
"""Characters kept of a line of standard error."""


class Tail:
    """A pipe for standard error and a thread that keeps its last lines.

    The thread ends at a line nobody can guess, which we write ourselves: all that was written before it has then
    been read, and it does not matter if a process that escaped the group still holds the pipe.
    """

    def __init__(self, lines: int) -> None:
        self.lines: deque[str] = deque(maxlen=lines)
        read_end, self.write_end = os.pipe()
        self._end = secrets.token_hex(16).encode()
        self._thread = threading.Thread(
            target=_keep_lines,
            args=(read_end, self._end, self.lines),
            name="stderr of a game",
            daemon=True,
        )
        self._thread.start()

    def finish(self) -> None:
        """Wait until all that was written is in :attr:`lines`, and close the pipe."""
        if self.write_end < 0:
            return
        with contextlib.suppress(OSError):
            os.write(self.write_end, b"\n" + self._end + b"\n")
        self._thread.join(1.0)
        os.close(self.write_end)
        self.write_end = -1


def _keep_lines(read_end: int, end: bytes, lines: deque[str]) -> None:
    """Read until the line ``end``."""
    rest = b""
    try:
        while chunk := os.read(read_end, 65536):
            *whole, rest = (rest + chunk).split(b"\n")
            found = end in whole
            _add(lines, whole[: whole.index(end)] if found else whole)
            if found:
                return
            rest = rest[:MAX_LINE]
    finally:
        os.close(read_end)


def _add(lines: deque[str], raw: Iterable[bytes]) -> None:
    for line in raw:
        if text := line.decode("utf-8", "replace").rstrip()[:MAX_LINE]:
            lines.append(text)
