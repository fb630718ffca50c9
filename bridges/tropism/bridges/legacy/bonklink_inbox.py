"""What has come from a BonkLink game and was not read yet: the newest, or everything in order.

Between the thread that reads the socket and the agent. In latest mode a reading is the newest state, but what
happened in the states passed over is kept: events that lasted one tick, and the newest frame, whichever
packet it came with.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Any, Literal, NamedTuple

from tropism.bridges.errors import BridgeError, timeout_of
from tropism.bridges.legacy.bonklink import State

Mode = Literal["latest", "fifo"]
EVENTS_MAX = 4096
"""Events that are kept for a reader that does not come; older ones are then dropped, and counted."""
STATE_BYTES = 2048
"""About what a decoded state takes."""
FIFO_BYTES = 64 * 2**20
"""What may wait in fifo mode before the game is held back, as a full socket would hold it back."""


class Event(NamedTuple):
    """Something that changed between two states that followed each other.

    Attributes:
        name: "level_up" (data: the options, none when it is over), "menu" (its name), "playing" or "paused"
            (bool), "ended" (data: "terminated" or "truncated").
        data: what it changed to.
        game_time: of the state that shows it first.
    """

    name: str
    data: Any
    game_time: float


class Reading(NamedTuple):
    """What a read gives.

    Attributes:
        state: in latest mode the newest, in fifo mode the next.
        frame: in latest mode the newest one not read yet, in fifo mode that of the same packet; or empty.
        events: in order, all since the last reading.
        skipped: how many states were passed over since the last reading.
        received: when `state` came, by `time.monotonic()`.
    """

    state: State
    frame: bytes = b""
    events: tuple[Event, ...] = ()
    skipped: int = 0
    received: float = 0.0


def changes(before: State | None, after: State) -> list[Event]:
    """The events that lie between two states; all that is not as usual if there is none before."""
    before = State() if before is None else before
    names = {"level_up": "level_up", "menu": "menu", "is_playing": "playing", "is_paused": "paused"}
    found = [
        Event(name, getattr(after, field), after.game_time)
        for field, name in names.items()
        if getattr(after, field) != getattr(before, field)
    ]
    if (end := _ended(after)) and not _ended(before):
        found.append(Event("ended", end, after.game_time))
    return found


class Inbox:
    """Readings for one reader, put by one other thread."""

    def __init__(self, mode: Mode) -> None:
        self.mode: Mode = mode
        self.events_lost = 0
        self._changed = threading.Condition()
        self._waiting: deque[Reading] = deque()
        self._bytes = 0
        self._last: State | None = None
        self._error: BridgeError | None = None

    def put(self, state: State, frame: bytes) -> None:
        """Add a packet; in fifo mode wait while too much is there already."""
        reading = Reading(state, frame, tuple(changes(self._last, state)), 0, time.monotonic())
        self._last = state
        with self._changed:
            self._changed.wait_for(lambda: self._bytes <= FIFO_BYTES or self._error is not None)
            if self.mode == "latest" and self._waiting:
                reading = self._merge(self._waiting.pop(), reading)
            self._waiting.append(reading)
            self._bytes += _cost(reading) if self.mode == "fifo" else 0
            self._changed.notify_all()

    @property
    def error(self) -> BridgeError | None:
        """What `fail` was told, or None."""
        return self._error

    def fail(self, error: BridgeError) -> None:
        """Say that no more comes, and why; the first reason counts."""
        with self._changed:
            self._error = self._error or error
            self._changed.notify_all()

    def get(self, timeout: float, phase: str = "step") -> Reading:
        """The next reading; what came before the end is still read.

        Raises:
            BridgeTimeout: nothing came; `StepTimeout` and `ResetTimeout` by the phase.
            BridgeError: what `fail` was told.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._error is not None, timeout)
            if self._waiting:
                return self._pop()
            if self._error is not None:
                raise self._error
        raise timeout_of(phase, timeout, None, "the game is connected but sends no state")

    def _pop(self) -> Reading:
        reading = self._waiting.popleft()
        if self.mode == "fifo":
            self._bytes -= _cost(reading)
            self._changed.notify_all()
        return reading

    def _merge(self, old: Reading, new: Reading) -> Reading:
        events = old.events + new.events
        self.events_lost += max(len(events) - EVENTS_MAX, 0)
        kept = events[-EVENTS_MAX:]
        return new._replace(frame=new.frame or old.frame, events=kept, skipped=old.skipped + 1)


def _cost(reading: Reading) -> int:
    return len(reading.frame) + STATE_BYTES


def _ended(state: State) -> str:
    if state.outcome is None or not (state.outcome.terminated or state.outcome.truncated):
        return ""
    return "terminated" if state.outcome.terminated else "truncated"
