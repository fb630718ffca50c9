"""The messages of an opening, one after the other, until its deadline: what both roles share.

An opening is a generator, so that a listener can go through several side by side: it gives the time by which the next
message must have come whenever it has read all that is there, and returns what was agreed upon.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Generator, Iterator
from contextlib import contextmanager, suppress
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from tropism.bridges.errors import (
    AuthError,
    BridgeError,
    BridgeTimeout,
    ConnectionLost,
    HandshakeTimeout,
    ProtocolError,
    UnexpectedMessage,
)
from tropism.bridges.protocol.header import MAX_MESSAGE, Type, name_of
from tropism.bridges.protocol.messages import Message, read_json, write_json
from tropism.bridges.transports import hello
from tropism.bridges.transports.connection import Connection
from tropism.bridges.transports.lobby import LONGEST_HELLO

P = ParamSpec("P")
T = TypeVar("T")
Steps = Generator[float, None, T]
"""An opening, or a part of one, under way."""


def go_through(connection: Connection, steps: Steps[T]) -> T:
    """Go through an opening with nothing else to do, and wait for each message."""
    before = connection.send_timeout
    try:
        while True:
            left = max(next(steps) - time.monotonic(), 0.0)
            connection.send_timeout = left
            connection.wait(left)
    except StopIteration as end:
        return end.value
    finally:
        connection.send_timeout = before


def waiting(
    begin: Callable[Concatenate[Connection, P], Steps[T]],
) -> Callable[Concatenate[Connection, P], T]:
    """The function that goes through an opening, from the one that begins it."""

    @wraps(begin)
    def wait(connection: Connection, *args: P.args, **kwargs: P.kwargs) -> T:
        return go_through(connection, begin(connection, *args, **kwargs))

    return wait


class Opening:
    """An opening under way.

    Args:
        connection: a new one.
        role: "agent" or "game".
        dialled: whether this side has dialled.
        token: the 32 bytes of the secret, or None.
        timeout: seconds for everything.

    Attributes:
        deadline: when it has to be over, in seconds of the monotonic clock.
    """

    def __init__(
        self, connection: Connection, role: str, dialled: bool, token: bytes | None, timeout: float
    ) -> None:
        self._start = time.monotonic()
        self.deadline = self._start + timeout
        self._connection, self._role, self._dialled = connection, role, dialled
        self._token = token

    @contextmanager
    def refusing(self) -> Iterator[None]:
        """Whatever goes wrong here, tell the peer and close."""
        try:
            yield
        except BridgeError as error:
            self._connection.refuse(error)
            raise

    def send(self, type: Type, body: dict[str, Any]) -> None:  # noqa: A002
        """Send a message with a JSON body."""
        self._connection.send(type, write_json(body))

    def sent(self, type: Type, body: bytes) -> Steps[None]:  # noqa: A002
        """Send a message that may be too long for the system to take at once."""
        with suppress(BridgeTimeout):
            self._connection.send(type, body)
        while not self._connection.can_send():
            self._check_time()
            yield self.deadline

    def expect(self, *types: Type) -> Message:
        """Wait for a message of one of these types."""
        return go_through(self._connection, self.awaited(*types))

    def awaited(self, *types: Type) -> Steps[Message]:
        """A message of one of these types."""
        while (message := self._connection.take()) is None:
            self._check_time()
            yield self.deadline
        if message.type == Type.CLOSE:
            reason = read_json(message.body, Type.CLOSE).get("reason")
            raise ConnectionLost(f"the peer closed before the session was open: {reason}")
        if message.type == Type.AUTH and Type.AUTH not in types:
            raise AuthError("the peer has a token, this side has none")
        if message.type not in types:
            wanted = " or ".join(map(name_of, types))
            raise UnexpectedMessage(f"{name_of(message.type)} where {wanted} was to come")
        return message

    def use(self, caps: frozenset[str], max_message: int) -> None:
        """Go on as WELCOME says."""
        self._connection.grant(caps)
        self._connection.max_message = max_message

    def greet(
        self, caps: Collection[str], session: str, name: str, version: str
    ) -> Steps[tuple[hello.Hello, int]]:
        """HELLO and AUTH, both ways, the dialler first; the peer and the major version to speak."""
        self._connection.max_message, self._connection.trusted = LONGEST_HELLO, False
        token = self._token is not None
        mine = hello.own_hello(self._role, caps, session, name, version, token)
        if self._dialled:
            self.send(Type.HELLO, mine)
        message = yield from self.awaited(Type.HELLO)
        theirs = hello.read_hello(message.body)
        self._connection.session = theirs.session
        major = hello.check_version(theirs)
        if theirs.role not in ("agent", "game") or theirs.role == self._role:
            raise ProtocolError(f"two peers of roles {self._role!r} and {theirs.role!r}")
        if not self._dialled:
            self.send(Type.HELLO, mine)
        yield from self._authenticate(mine["nonce"], theirs)
        self._connection.max_message, self._connection.trusted = MAX_MESSAGE, True
        return theirs, major

    def _check_time(self) -> None:
        now = time.monotonic()
        if now >= self.deadline:
            text = self._connection.progress
            raise HandshakeTimeout("handshake", now - self._start, text=text)

    def _authenticate(self, nonce: str, theirs: hello.Hello) -> Steps[None]:
        if theirs.has_token is not None and theirs.has_token != (self._token is not None):
            raise AuthError("only one of the two sides has a token")
        if self._token is None:
            return
        nonces = (nonce, theirs.nonce) if self._role == "agent" else (theirs.nonce, nonce)
        if self._dialled:
            self._prove(nonces)
        yield from self._demand(hello.proof(self._token, theirs.role, *nonces))
        if not self._dialled:
            self._prove(nonces)

    def _prove(self, nonces: tuple[str, str]) -> None:
        assert self._token is not None
        self.send(Type.AUTH, {"mac": hello.proof(self._token, self._role, *nonces)})

    def _demand(self, expected: str) -> Steps[None]:
        try:
            message = yield from self.awaited(Type.AUTH)
            hello.check_proof(message.body, expected)
        except (UnexpectedMessage, HandshakeTimeout) as error:
            raise AuthError("the peer did not prove that it knows the token") from error
