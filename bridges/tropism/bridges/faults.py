"""What a fault means: which errors are one, what is known of it, and what happens then."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from tropism.bridges.errors import (
    BridgeError,
    BridgeTimeout,
    ConnectionLost,
    ConnectTimeout,
    GameCrashed,
    GameLost,
    PeerError,
    ProtocolError,
    ShmCorrupt,
    timeout_of,
)
from tropism.bridges.launcher import Launcher
from tropism.bridges.progress import also
from tropism.errors import OptionError, UnknownNameError

FAULTS = (GameLost, BridgeTimeout, ProtocolError, PeerError, ShmCorrupt)
"""Errors that are the game's, or the line's; any other is the caller's and is raised whatever the policy."""

POLICIES = ("raise", "truncate", "restart")
T = TypeVar("T")


@dataclass(frozen=True)
class OnFault:
    """What a face does about a fault.

    * ``raise``: raises it.  The next ``reset`` starts the game anew.
    * ``truncate``: ends the episode with the last good observation, reward 0 and ``truncated``;
      ``info["bridge"]["fault"]`` tells what happened.  The next ``reset`` starts the game anew.
    * ``restart``: as ``truncate``, but the new game is started at once, so that the ``reset`` need not wait for it.

    Attributes:
        policy: one of these.
        max_restarts: faults in a row, without one good step between them, after which the last is raised.
        backoff: seconds before the second restart in a row; doubled for each further one.
    """

    policy: str = "raise"
    max_restarts: int = 3
    backoff: float = 0.5

    def __post_init__(self) -> None:
        if self.policy not in POLICIES:
            raise UnknownNameError("on_fault", str(self.policy), POLICIES)
        if self.max_restarts < 1 or not 0 <= self.backoff <= 3600:
            raise OptionError(f"max_restarts must be >= 1 and backoff in [0, 3600], got {self}")

    @classmethod
    def of(cls, value: OnFault | Mapping[str, Any] | str) -> OnFault:
        """A policy as a user may give it: its name, or its fields.

        Raises:
            UnknownNameError: there is no such policy.
            OptionError: a field is out of range.
        """
        if isinstance(value, OnFault):
            return value
        return cls(**value) if isinstance(value, Mapping) else cls(value)


class FaultCounter:
    """Counts the faults of one game and decides whether one more is endured.

    Attributes:
        total: all of them.
        row: those since the last good step; the caller sets it to 0 after one.
    """

    def __init__(self, on_fault: OnFault) -> None:
        self.on_fault = on_fault
        self.total = self.row = 0

    def endure(self, error: BridgeError) -> None:
        """Count a fault.

        Raises:
            BridgeError: the fault itself, if the policy is to raise or there were too many in a row.
        """
        self.total += 1
        if self.on_fault.policy == "raise":
            raise error
        self.row += 1
        if self.row > self.on_fault.max_restarts:
            error.add_note(f"fault {self.row} in a row; {self.on_fault.max_restarts} are endured")
            raise error

    def retry(self, action: Callable[[], T]) -> T:
        """The result of ``action``, tried again after each fault that is endured."""
        while True:
            if self.row > 1:
                time.sleep(self.on_fault.backoff * 2 ** (self.row - 2))
            try:
                return action()
            except FAULTS as error:
                self.endure(error)


def explained(
    error: BridgeError,
    launcher: Launcher | None,
    phase: str,
    waited: float,
    seq: int | None = None,
) -> BridgeError:
    """The error with all that is known of the game; one that only says that it is gone becomes one that says why.

    Args:
        error: what was caught.
        launcher: of the game, if it was launched here.
        phase: what was going on.
        waited: seconds since that began.
        seq: number of the request, if there is one.
    """
    found = _cause_of_death(error, launcher, seq) or error
    if isinstance(error, BridgeTimeout):
        # Also a game that does not even read hangs in the phase whose request could not be sent.
        text = also(error.text, words(launcher))
        found = error if isinstance(error, ConnectTimeout) else timeout_of(phase, waited, seq, text)
    elif launcher is not None and not isinstance(found, GameLost):
        found.add_note(words(launcher))
    found.facts = {
        "phase": found.phase if isinstance(found, BridgeTimeout) else phase,
        "seq": seq,
        "waited_s": round(waited, 6),
        "game": state(launcher),
    }
    if found is not error:
        found.__cause__ = error
    return found


def _cause_of_death(
    error: BridgeError, launcher: Launcher | None, seq: int | None
) -> BridgeError | None:
    """What the exit status tells, if the connection just ended."""
    cut = isinstance(error, ProtocolError) and "EOF" in str(error)
    if launcher is None or not (isinstance(error, ConnectionLost) or cut):
        return None
    launcher.settle()
    lost = launcher.lost(seq)
    return None if cut and not isinstance(lost, GameCrashed) else lost


def words(launcher: Launcher | None) -> str:
    """What can be said of the game, in one or more lines."""
    if launcher is None:
        return "the game was not launched here"
    tail = launcher.stderr_tail
    return state(launcher) + (f"; its last words:\n{tail}" if tail else "; it wrote no error")


def state(launcher: Launcher | None) -> str:
    """The game in one line; of one that is running also what it is doing, where the system tells."""
    if launcher is None:
        return "not launched here"
    if not launcher.alive:
        return launcher.describe()
    kinds = {"R": "busy", "S": "waiting", "D": "in the kernel", "T": "stopped", "t": "traced"}
    try:
        stat = Path(f"/proc/{launcher.pid}/stat").read_text(encoding="utf-8", errors="replace")
        kind = kinds.get(stat.rpartition(")")[2].split()[0])
    except OSError:
        kind = None
    return launcher.describe() + (f" ({kind})" if kind else "")
