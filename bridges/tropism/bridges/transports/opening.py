"""The messages of an opening, one after the other, until its deadline: what both roles share."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

from tropism.bridges.errors import (
    AuthError,
    BridgeError,
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
        self.deadline = time.monotonic() + timeout
        self._connection, self._role, self._dialled = connection, role, dialled
        self._token, self._timeout = token, timeout

    @contextmanager
    def refusing(self) -> Iterator[None]:
        """Whatever goes wrong here, tell the peer and close."""
        before, self._connection.send_timeout = self._connection.send_timeout, self._timeout
        try:
            yield
        except BridgeError as error:
            self._connection.refuse(error)
            raise
        finally:
            self._connection.send_timeout = before

    def send(self, type: Type, body: dict[str, Any]) -> None:  # noqa: A002
        """Send a message with a JSON body."""
        self._connection.send(type, write_json(body))

    def expect(self, *types: Type) -> Message:
        """Wait for a message of one of these types."""
        left = self.deadline - time.monotonic()
        message = self._connection.receive(max(left, 0.0), "handshake")
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
    ) -> tuple[hello.Hello, int]:
        """HELLO and AUTH, both ways, the dialler first; the peer and the major version to speak."""
        self._connection.max_message, self._connection.trusted = LONGEST_HELLO, False
        token = self._token is not None
        mine = hello.own_hello(self._role, caps, session, name, version, token)
        if self._dialled:
            self.send(Type.HELLO, mine)
        theirs = hello.read_hello(self.expect(Type.HELLO).body)
        self._connection.session = theirs.session
        major = hello.check_version(theirs)
        if theirs.role not in ("agent", "game") or theirs.role == self._role:
            raise ProtocolError(f"two peers of roles {self._role!r} and {theirs.role!r}")
        if not self._dialled:
            self.send(Type.HELLO, mine)
        self._authenticate(mine["nonce"], theirs)
        self._connection.max_message, self._connection.trusted = MAX_MESSAGE, True
        return theirs, major

    def _authenticate(self, nonce: str, theirs: hello.Hello) -> None:
        if theirs.has_token is not None and theirs.has_token != (self._token is not None):
            raise AuthError("only one of the two sides has a token")
        if self._token is None:
            return
        nonces = (nonce, theirs.nonce) if self._role == "agent" else (theirs.nonce, nonce)
        if self._dialled:
            self._prove(nonces)
        self._demand(hello.proof(self._token, theirs.role, *nonces))
        if not self._dialled:
            self._prove(nonces)

    def _prove(self, nonces: tuple[str, str]) -> None:
        assert self._token is not None
        self.send(Type.AUTH, {"mac": hello.proof(self._token, self._role, *nonces)})

    def _demand(self, expected: str) -> None:
        try:
            hello.check_proof(self.expect(Type.AUTH).body, expected)
        except (UnexpectedMessage, HandshakeTimeout) as error:
            raise AuthError("the peer did not prove that it knows the token") from error
