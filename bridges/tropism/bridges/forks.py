"""Whether this process is a fork of the one that opened something: asking the system costs more than counting."""

from __future__ import annotations

import os


class Forks:
    """Counts the forks between this process and the one that loaded the module.

    Attributes:
        count: changes in a child, so that what remembers its value knows where it is.
    """

    def __init__(self) -> None:
        self.count = 0
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forked)

    def _forked(self) -> None:
        self.count += 1


FORKS = Forks()
