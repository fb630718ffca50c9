"""A process on a pseudo-terminal, for games that are played in one."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest


def environment():
    """The variables of a process that runs the suite's modules; its warnings are errors."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONWARNINGS": "error"}


class Terminal:
    """A process on a pseudo-terminal."""

    def __init__(self, arguments):
        pty = pytest.importorskip("pty")
        self.master, self.slave = pty.openpty()
        self.before = self._settings()
        self.process = subprocess.Popen(
            arguments,
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
            env={k: v for k, v in environment().items() if k != "NO_COLOR"},
            start_new_session=True,
        )
        self.seen = ""

    def _settings(self):
        import termios

        return termios.tcgetattr(self.slave)

    def expect(self, text, seconds=30.0):
        """Read until ``text`` has appeared, and forget what was before it."""
        import select

        end = time.monotonic() + seconds
        while text not in self.seen:
            assert time.monotonic() < end, f"{text!r} did not appear in {self.seen!r}"
            if select.select([self.master], [], [], 0.2)[0]:
                self.seen += os.read(self.master, 4096).decode(errors="replace")
        self.seen = self.seen.partition(text)[2]

    def close(self):
        """Wait for the end; the terminal must be as it was."""
        assert self.process.wait(30) == 0
        assert self._settings() == self.before
        os.close(self.master)
        os.close(self.slave)
