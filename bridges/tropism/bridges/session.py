"""One session with one game: numbered requests, deadlines for each phase, and errors that say what happened."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from time import monotonic
from typing import Any

from tropism.bridges.errors import (
    BridgeClosed,
    BridgeError,
    BridgeTimeout,
    ForkedBridge,
    GameExited,
    InvalidValue,
    PeerError,
    ProtocolError,
    UnexpectedMessage,
    timeout_of,
)
from tropism.bridges.events import Events
from tropism.bridges.faults import explained
from tropism.bridges.forks import FORKS
from tropism.bridges.jsonable import from_json, to_json
from tropism.bridges.line import Line
from tropism.bridges.options import GameOptions
from tropism.bridges.protocol.bodies import ActionCodec, ObsCodec, Observation
from tropism.bridges.protocol.header import Type, is_newer, name_of, next_seq
from tropism.bridges.protocol.messages import Message, read_json, write_json
from tropism.bridges.record import Recorder
from tropism.bridges.stats import Stats
from tropism.errors import OptionError

STEP, OBS = int(Type.STEP), int(Type.OBS)  # comparing with an enumeration's member takes longer
MAX_SEED = 2**53
LEAST_WAIT = 0.1
"""Seconds in which an answer is fetched that was asked for after its deadline: it may have been there long ago."""
MOST_LATE = 4096
"""Messages that are looked through for an answer that is overdue, however fast the game floods us."""


class Session:
    """Speaks with one game until one of the two ends it.  For one thread.

    :meth:`start` launches, :meth:`connect` waits for the opening; both are one call, :meth:`open`, unless many games
    shall come up at the same time.  After any error but a timeout of a request and :class:`InvalidValue` the session is over.

    Args:
        options: where the game is and how to speak with it.
        recorder: gets every message from the specification on.

    Attributes:
        spec: what the game is; from :meth:`connect` on.
        caps: what both sides can do.
        peer: what the game said of itself in HELLO.
        stats: counters.
        waited: seconds that the last answer took.
        ended: why there is no session, or None while there is one.
        events: the last 256 events, ``(name, data)``, oldest first, or fewer that are long; the caller may remove them.
    """

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

    @classmethod
    def open(cls, options: GameOptions) -> Session:
        """A session that is ready for its first reset."""
        session = cls(options)
        session.start()
        session.connect()
        return session

    def start(self) -> None:
        """Listen and launch, without waiting for the game."""
        self._line.start()

    def connect(self) -> None:
        """Wait for the game and open the session.

        Raises:
            ConnectTimeout: nobody came; the text says what was run and what became of it.
            BridgeError: they could not agree; see :mod:`tropism.bridges.errors`.
        """
        opened = self._line.connect()
        self.spec, self.caps, self.peer = opened.spec, opened.caps, opened.peer.facts
        self._channel = self._line.channel
        self._observations, self._actions = ObsCodec(self.spec), ActionCodec(self.spec)
        self.ended = None

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
    def episode(self) -> int:
        """Number of the episode, 1 for the first."""
        return self._episode

    @property
    def seq(self) -> int:
        """Number of the last request."""
        return self._seq

    @property
    def skipped(self) -> int:
        """How many messages of unknown types the game has sent."""
        return self._channel.skipped

    @property
    def waiting(self) -> bool:
        """Whether a request is under way."""
        return self._awaited is not None

    @property
    def healthy(self) -> bool:
        """Whether the session goes on and no answer is overdue; one that has come too late is fetched here."""
        if self.ended is None and self._abandoned is not None:
            try:
                self._fetch_late_answer()
            except BridgeError:
                return False
        return self.ended is None and self._abandoned is None

    # -- requests -------------------------------------------------------------------------------------------

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> Observation:
        """Begin an episode; see :meth:`send_reset` and :meth:`receive`."""
        self.send_reset(seed, options)
        return self.receive()

    def send_reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> None:
        """Ask for a new episode.

        Args:
            seed: in [0, 2^53), or None.
            options: the game's own affair; arrays are allowed.

        Raises:
            OptionError: the seed is out of range.
        """
        if seed is not None and not 0 <= seed < MAX_SEED:
            raise OptionError(f"a seed that crosses the bridge must lie in [0, 2^53), got {seed}")
        body = write_json({"seed": None if seed is None else int(seed), "options": _json(options)})
        self._awaited = None  # the answer to a step under way will be discarded
        self._check()
        self._episode = (self._episode + 1) & 0xFFFFFFFF
        self._request(Type.RESET, body, "reset")

    def send_step(self, actions: Sequence[Any]) -> None:
        """Ask for one step.

        Args:
            actions: one for each agent, None for those that do not act.

        Raises:
            InvalidValue: an action has the wrong shape or type; nothing was sent.
        """
        if self.ended is not None or self._awaited is not None or self._forks != FORKS.count:
            self._check()
        self._request(STEP, self._actions.encode(actions), "step")

    def receive(self) -> Observation:
        """The answer to the reset or step under way.

        Raises:
            ResetTimeout: it did not come in time; so `StepTimeout`.  The request is given up: if its answer still comes, it
                is discarded.
            GameLost: the game is gone, with what is known of its end.
            BridgeError: the game broke the protocol or reported an error.
        """
        seq, phase = self._awaited, self._phase
        if self._forks != FORKS.count:
            self._check()
        if seq is None:
            raise BridgeError("no request is under way: send_reset() or send_step() first")
        limit = self.deadlines.step if phase == "step" else self.deadlines.reset
        now = monotonic()
        left = self._sent_at + limit - now
        if left < LEAST_WAIT:
            left = LEAST_WAIT
        try:
            message = self._channel.receive(left, phase, seq)
            while message[0] != OBS or message[1] != seq:  # its type and number
                self._handle(message)
                message = self._channel.receive(self._left(now + left, seq), phase, seq)
            observation = self._decode(message)
        except BridgeError as error:
            raise self._failed(error) from error.__cause__
        except BaseException:  # an interrupt: the answer may still come
            self._abandoned, self._awaited = seq, None
            raise
        self._awaited = self._abandoned = None
        self.waited = monotonic() - self._sent_at
        if phase == "step":
            self.stats.count_step(self.waited)
        else:
            self.stats.episodes += 1
        return observation

    # -- the side channel -----------------------------------------------------------------------------------

    def call(self, name: str, args: Any = None, timeout: float | None = None) -> Any:
        """Call a function of the game; arrays are allowed in arguments and result.

        Args:
            name: of the function.
            args: whatever it takes.
            timeout: seconds; None: the deadline of a step.

        Raises:
            OptionError: the game does not answer calls.
            PeerError: the game reports an error; the session goes on.
            BridgeTimeout: no answer came in time.
        """
        self._check()
        if not {"call", "render"} & self.caps:
            raise OptionError(f"{self.spec.name!r} does not answer calls, such as {name!r}")
        self._calls += 1
        body = write_json({"id": self._calls, "name": name, "args": _json(args)})
        self._sent_at, self._phase = monotonic(), "call"
        limit = self.deadlines.step if timeout is None else timeout
        try:
            self._channel.send(Type.CALL, body)
            while (reply := self._reply(self._sent_at + limit)) is None:
                pass
        except BridgeError as error:
            raise self._failed(error) from error.__cause__
        if "error" in reply:
            raise PeerError("call", f"{name}: {reply['error']}")
        return from_json(reply.get("result"))

    def send_event(self, name: str, data: Any = None) -> None:
        """Tell the game something that needs no answer."""
        self._check()
        body = write_json({"name": name, "data": _json(data)})
        try:
            self._channel.send(Type.EVENT, body)
        except BridgeError as error:
            raise self._failed(error) from error.__cause__

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
        with contextlib.suppress(
            Exception
        ):  # of a session that did not even begin, or at the end of the interpreter
            if not self._closed and self._forks == FORKS.count:
                self._closed = True
                self._line.close()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- details --------------------------------------------------------------------------------------------

    def _request(self, type: int, body: Any, phase: str) -> None:  # noqa: A002
        self._seq = seq = next_seq(self._seq)
        self._sent_at, self._phase = monotonic(), phase
        try:
            self._channel.send(type, body, seq, self._episode)
        except BridgeError as error:
            self._awaited = seq
            raise self._failed(error) from error.__cause__
        self._awaited = seq

    def _decode(self, message: Message) -> Observation:
        """What is received into memory of its own needs no copy.  The arrays of an info are arrays again."""
        body = message.body
        found = self._observations.decode(body, self._copies and type(body) is bytes)
        if not found[5]:
            return found
        info = {key: from_json(value) for key, value in found.info.items()}
        if len(found.agents) > 1 and not all(isinstance(value, dict) for value in info.values()):
            raise ProtocolError("the info of several agents needs an object for each of them")
        return found._replace(info=info)

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

    def _reply(self, end: float) -> dict[str, Any] | None:
        message = self._channel.receive(self._left(end), "call")
        if message.type != Type.REPLY:
            self._handle(message)
            return None
        reply = read_json(message.body, Type.REPLY)
        return reply if reply.get("id") == self._calls else None

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


def _json(value: Any) -> Any:
    """A value of the caller as JSON."""
    try:
        return to_json(value)
    except TypeError as error:
        raise InvalidValue(str(error)) from None
