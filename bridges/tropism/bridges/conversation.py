"""What a session with a game hears that is no answer, how requests fail, and how it ends."""

from __future__ import annotations

import contextlib
from time import monotonic
from typing import Any, Self

from tropism.bridges.errors import (
    BridgeClosed,
    BridgeError,
    BridgeTimeout,
    ForkedBridge,
    GameExited,
    ProtocolError,
    UnexpectedMessage,
    timeout_of,
)
from tropism.bridges.events import Events
from tropism.bridges.faults import explained
from tropism.bridges.forks import FORKS
from tropism.bridges.jsonable import from_json
from tropism.bridges.line import Line
from tropism.bridges.options import GameOptions
from tropism.bridges.protocol.header import Type, is_newer, name_of
from tropism.bridges.protocol.messages import Message, read_json
from tropism.bridges.record import Recorder
from tropism.bridges.stats import Stats

MOST_LATE = 4096
"""Messages that are looked through for an answer that is overdue, however fast the game floods us."""


class Conversation:
    """The line to one game, and what is under way on it; :class:`~tropism.bridges.session.Session` makes the requests.

    Args:
        options: where the game is and how to speak with it.
        recorder: gets every message from the specification on.

    Attributes:
        stats: counters.
        ended: why there is no session, or None while there is one.
        events: the last 256 events, ``(name, data)``, oldest first, or fewer that are long; the caller may remove them.
    """

    _channel: Any  # from the opening on

    def __init__(self, options: GameOptions, recorder: Recorder | None = None) -> None:
        self.options, self.deadlines, self._copies = options, options.deadlines, options.copy
        self.stats, self.events = Stats(), Events()
        self.ended: str | None = "it has not begun"
        self._line = Line(options, recorder)
        self._forks = FORKS.count
        self._seq = self._episode = self._calls = 0
        self._awaited: int | None = None  # number of the request under way
        self._abandoned: int | None = None  # of one whose time ran out; the answer may still come
        self._sent_at, self._phase, self._closed = 0.0, "connect", False
        self.waited = 0.0

    # -- facts ----------------------------------------------------------------------------------------------

    @property
    def transport(self) -> str:
        """What the observations travel over: ``shm``, ``tcp``, ``unix`` or ``ws``."""
        return self._line.transport

    @property
    def address(self) -> str:
        """Where we listen or have dialled."""
        return self._line.address

    @property
    def game_pid(self) -> int | None:
        """Process id of a game that was launched here."""
        return None if self._line.launcher is None else self._line.launcher.pid

    @property
    def stderr_tail(self) -> str:
        """The last lines that a launched game wrote to its standard error."""
        return "" if self._line.launcher is None else self._line.launcher.stderr_tail

    @property
    def skipped(self) -> int:
        """How many messages of unknown types the game has sent."""
        return self._channel.skipped

    @property
    def healthy(self) -> bool:
        """Whether the session goes on and no answer is overdue; one that has come too late is fetched here."""
        if self.ended is None and self._abandoned is not None:
            try:
                self._fetch_late_answer()
            except BridgeError:
                return False
        return self.ended is None and self._abandoned is None

    # -- the end --------------------------------------------------------------------------------------------

    def close(self, reason: str = "the agent has closed") -> None:
        """End the session and the game that was launched for it; a second call, or one in a forked child, does nothing.

        A game at rest has the deadline of closing to end by itself; one that owes an answer is terminated at once.
        """
        if self._forks != FORKS.count or self._closed:
            return
        self._closed = True
        at_rest = self.ended is None and self._awaited is None and self._abandoned is None
        self.ended = self.ended or reason
        self._line.close(reason, self.deadlines.close if at_rest else 0.0)

    def __del__(self) -> None:
        with contextlib.suppress(Exception):  # it did not even begin, or the interpreter ends
            if not self._closed and self._forks == FORKS.count:
                self._closed = True
                self._line.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- what is heard -----------------------------------------------------------------------------------------

    def _handle(self, message: Message) -> None:
        """A message that is not what is waited for."""
        kind = message.type
        if kind == Type.OBS:
            self._discard(message)
        elif kind == Type.EVENT:
            event = read_json(message.body, Type.EVENT)
            self.stats.events += 1
            name, data = str(event.get("name")), from_json(event.get("data"))
            self.events.keep(name, data, len(message.body))
        elif kind == Type.CLOSE:
            self._closed_by_game(str(read_json(message.body, Type.CLOSE).get("reason", "")))
        elif kind not in (Type.PONG, Type.REPLY):  # a REPLY may come too late
            raise UnexpectedMessage(f"{name_of(kind)} from a game in a session")

    def _discard(self, message: Message) -> None:
        """An OBS that nobody waits for: late is harmless, early is not."""
        if is_newer(message.seq, self._seq):
            raise ProtocolError(f"OBS of request {message.seq}, which was never made")
        self.stats.stale += 1
        if message.seq == self._abandoned:
            self._abandoned = None

    def _closed_by_game(self, reason: str) -> None:
        launcher = self._line.launcher
        code = None if launcher is None else launcher.settle()
        raise GameExited(code, f"the game closed the session: {reason or 'no reason given'}")

    def _left(self, end: float, seq: int | None = None) -> float:
        """Seconds up to ``end``; the timeout of the phase once it is over, however many messages still come."""
        now = monotonic()
        if now > end:
            raise timeout_of(self._phase, now - self._sent_at, seq)
        return end - now

    def _fetch_late_answer(self) -> None:
        """Read what has come, without waiting."""
        for _ in range(MOST_LATE):
            if self._abandoned is None:
                return
            try:
                self._handle(self._channel.receive(0.0))
            except BridgeTimeout:
                return
            except BridgeError as error:
                raise self._failed(error) from error.__cause__

    def _failed(self, error: BridgeError) -> BridgeError:
        """The error with all that is known; after one that is not a timeout or the caller's fault the session is over."""
        seq, self._awaited = self._awaited, None
        found = explained(error, self._line.launcher, self._phase, monotonic() - self._sent_at, seq)
        if isinstance(error, BridgeTimeout):
            self._abandoned = seq if seq is not None else self._abandoned
        else:
            self.ended = f"{type(found).__name__}: {str(found).partition(chr(10))[0]}"
            if isinstance(error, ProtocolError):
                self._channel.refuse(error)  # does nothing if the channel did so itself
            self._line.close()
        return found

    def _check(self) -> None:
        if self._forks != FORKS.count:
            raise ForkedBridge("this session belongs to the parent process; make a new one here")
        if self.ended is not None:
            raise BridgeClosed(f"there is no session: {self.ended}")
        if self._awaited is not None:
            raise BridgeError(f"request {self._awaited} has not been answered: receive() first")
