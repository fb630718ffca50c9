"""Whether this process is a fork of the one that opened something: asking the system costs more than counting."""

from __future__ import annotations

import os
from typing import Protocol
from weakref import WeakSet


class Inherited(Protocol):
    """What a forked child must let go of."""

    def abandon(self) -> None:
        """Close this process's copies, and nothing else."""
        ...


class Forks:
    """Counts the forks between this process and the one that loaded the module.

    Attributes:
        count: changes in a child, so that what remembers its value knows where it is.
    """

    def __init__(self) -> None:
        self.count = 0
        self._inherited: WeakSet[Inherited] = WeakSet()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forked)

    def release(self, owner: Inherited) -> None:
        """Let every forked child abandon this, else the other side would not see the end of the parent."""
        self._inherited.add(owner)

    def _forked(self) -> None:
        self.count += 1
        for owner in list(self._inherited):
            owner.abandon()
        self._inherited.clear()


FORKS = Forks()
