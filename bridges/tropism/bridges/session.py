"""One session with one game: numbered requests, deadlines for each phase, and errors that say what happened."""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic
from typing import Any

from tropism.bridges.conversation import Conversation
from tropism.bridges.errors import (
    BridgeError,
    InvalidValue,
    PeerError,
    ProtocolError,
)
from tropism.bridges.forks import FORKS
from tropism.bridges.jsonable import from_json, to_json
from tropism.bridges.options import GameOptions
from tropism.bridges.protocol.bodies import ActionCodec, ObsCodec, Observation
from tropism.bridges.protocol.header import Type, next_seq
from tropism.bridges.protocol.messages import Message, read_json, write_json
from tropism.errors import OptionError

STEP, OBS = int(Type.STEP), int(Type.OBS)  # comparing with an enumeration's member takes longer
MAX_SEED = 2**53
LEAST_WAIT = 0.1
"""Seconds in which an answer is fetched that was asked for after its deadline: it may have been there long ago."""


class Session(Conversation):
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

    @property
    def episode(self) -> int:
        """Number of the episode, 1 for the first."""
        return self._episode

    @property
    def seq(self) -> int:
        """Number of the last request."""
        return self._seq

    @property
    def waiting(self) -> bool:
        """Whether a request is under way."""
        return self._awaited is not None

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

    def _reply(self, end: float) -> dict[str, Any] | None:
        message = self._channel.receive(self._left(end), "call")
        if message.type != Type.REPLY:
            self._handle(message)
            return None
        reply = read_json(message.body, Type.REPLY)
        return reply if reply.get("id") == self._calls else None


def _json(value: Any) -> Any:
    """A value of the caller as JSON."""
    try:
        return to_json(value)
    except TypeError as error:
        raise InvalidValue(str(error)) from None
