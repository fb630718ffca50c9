"""The peers that have connected to a listener and have not proved yet who they are."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, NoReturn

from tropism.bridges.errors import (
    AuthError,
    BadMagic,
    BridgeError,
    ConnectionLost,
    HandshakeTimeout,
    PeerBusy,
    ProtocolError,
    UnexpectedMessage,
)
from tropism.bridges.protocol.header import MAGIC, Type, name_of
from tropism.bridges.transports import upgrade
from tropism.bridges.transports.connection import SEND_TIMEOUT, Connection
from tropism.bridges.transports.polling import READ, WRITE
from tropism.bridges.transports.stream import RawStream, Stream, put
from tropism.bridges.transports.websocket import WebSocketStream

PATIENCE = 5.0
"""Seconds that a peer has for its first message."""
LONGEST_HELLO = 65536
Begin = Callable[[Connection], Iterator[float]]
"""Begins an opening, which goes on whenever something has come; see `opening.Steps`."""


def hello_only(_: Connection) -> Iterator[float]:
    """No opening: whoever has said HELLO is through."""
    return iter(())


def busy(connection: Connection) -> NoReturn:
    """An opening that is refused at once."""
    error = PeerBusy("a session is under way")
    connection.refuse(error)
    raise error


class Admitted(NamedTuple):
    """A connection, and what its opening has returned."""

    connection: Connection
    outcome: Any


class Candidate:
    """A peer of which it is not known yet what it speaks, or whether it can be agreed with.

    Args:
        sock: as accepted.
        origins: web pages that may connect.

    Attributes:
        born: when it connected, in seconds of the monotonic clock.
        due: when its time runs out.
    """

    def __init__(self, sock: socket.socket, origins: frozenset[str]) -> None:
        sock.setblocking(False)
        self.born = time.monotonic()
        self.due = self.born + PATIENCE
        self._sock, self._origins = sock, origins
        self._data = b""
        self._connection: Connection | None = None
        self._steps: Iterator[float] | None = None

    def fileno(self) -> int:
        """The descriptor of its socket."""
        return self._sock.fileno()

    @property
    def events(self) -> int:
        """What to wait for: bytes, and room for those that are left to be sent to it."""
        unsent = self._connection is not None and self._connection.unsent
        return READ | WRITE if unsent else READ

    @property
    def rank(self) -> int:
        """How far it has come: 0 it has said nothing, 1 something, 2 HELLO, 3 and has proved who it is, if it must."""
        if self._connection is None or self._steps is None:
            return int(bool(self._data))
        return 2 + self._connection.trusted

    def advance(self, begin: Begin) -> Admitted | None:
        """Go on with what has come.

        Args:
            begin: the opening to go through from HELLO on.

        Returns:
            None until it is through.

        Raises:
            BridgeError: it is no client, its time has run out, or the opening has failed. Its socket is closed, after an
                answer if one makes sense.
        """
        try:
            if self._connection is None:
                self._sniff()
            if self._steps is None and self._connection is not None:
                self._greet(self._connection, begin)
            if self._steps is not None and self._connection is not None:
                return self._go_on(self._connection, self._steps)
            return self._check_age()
        except BridgeError:
            self.close()
            raise

    def refuse(self, error: BridgeError) -> None:
        """Say why it is not wanted, if it has said HELLO and reads what it is told, and close its socket."""
        connection = self._connection
        if connection is not None and self._steps is not None and not connection.unsent:
            connection.refuse(error)
        self.close()

    def close(self) -> None:
        """Close its socket."""
        if self._connection is not None:
            self._connection.close()
        self._sock.close()

    def _go_on(self, connection: Connection, steps: Iterator[float]) -> Admitted | None:
        try:
            self.due = next(steps)
        except StopIteration as end:
            connection.send_timeout = SEND_TIMEOUT
            return Admitted(connection, end.value)
        return None

    def _check_age(self) -> None:
        now = time.monotonic()
        if now >= self.due:
            text = "a peer connected and sent no HELLO"
            raise HandshakeTimeout("handshake", now - self.born, text=text)

    def _greet(self, connection: Connection, begin: Begin) -> None:
        """Begin the opening once HELLO has come, which is then the next message to be received."""
        message = connection.take()
        if message is None:
            return
        if message.type != Type.HELLO:
            error = UnexpectedMessage(f"{name_of(message.type)} instead of HELLO")
            connection.refuse(error)
            raise error
        connection.unread(message)
        self._steps = begin(connection)

    def _sniff(self) -> None:
        self._receive()
        start = self._data[:4]
        if start in (MAGIC, MAGIC[::-1]):  # the second is refused by name as soon as it is parsed
            self._connect(RawStream(), self._data)
        elif start == b"GET ":
            self._upgrade()
        elif len(start) == 4:
            raise BadMagic(f"no client: it begins with {start.hex(' ')}")

    def _receive(self) -> None:
        try:
            data = self._sock.recv(4096)
        except BlockingIOError:
            return
        except OSError as error:
            raise ConnectionLost(f"a peer has gone: {error.strerror or error}") from error
        if not data:
            raise ConnectionLost("a peer went before it said HELLO")
        self._data, self.is_silent = self._data + data, False

    def _upgrade(self) -> None:
        head, found, rest = self._data.partition(upgrade.END)
        if len(head) > upgrade.LONGEST_HEAD:
            raise ProtocolError("no client: the head of its request does not end")
        if found:
            self._answer(head)
            self._connect(WebSocketStream(is_client=False), rest)

    def _answer(self, head: bytes) -> None:
        with contextlib.suppress(OSError):  # so little fits the buffer of a new connection
            try:
                self._sock.send(upgrade.answer(head, self._origins))
            except (AuthError, ProtocolError) as error:
                self._sock.send(upgrade.refusal(error))
                raise

    def _connect(self, stream: Stream, data: bytes) -> None:
        stream.max_message = LONGEST_HELLO
        put(stream, data)
        self._connection = Connection(self._sock, stream)
        self._connection.trusted = False
        self._connection.send_timeout = 0.0  # who does not read what it makes us send is no client
