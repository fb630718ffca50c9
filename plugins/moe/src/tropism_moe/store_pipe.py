"""A pipe between the thread that asks and those that read."""

from __future__ import annotations

import os
import weakref


class Pipe:
    """Two descriptors, which are closed when nobody has them any more.

    Attributes:
        out: to read from.
        into: to write to.
        owner: process that made them: one that was forked from it has neither the threads nor a right to speak to them.
    """

    def __init__(self) -> None:
        self.owner, (self.out, self.into) = os.getpid(), os.pipe()
        for end in self.out, self.into:
            os.set_blocking(end, end == self.out)
            weakref.finalize(self, os.close, end).atexit = False  # threads go on until the very end

    @property
    def mine(self) -> bool:
        """Whether this process made them."""
        return os.getpid() == self.owner

    def write(self, data: bytes) -> bool:
        """Let the other end read it, all or nothing; whether there was room.  A forked process only seems to."""
        try:
            return not self.mine or os.write(self.into, data) > 0
        except BlockingIOError:
            return False
