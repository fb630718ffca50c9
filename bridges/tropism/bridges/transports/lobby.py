"""The peers that have connected to a listener and have not said yet who they are."""

from __future__ import annotations

import contextlib
import socket
import time

from tropism.bridges.errors import (
    AuthError,
    BadMagic,
    BridgeError,
    ConnectionLost,
    HandshakeTimeout,
    ProtocolError,
    UnexpectedMessage,
)
from tropism.bridges.protocol.header import MAGIC, Type, name_of
from tropism.bridges.transports import upgrade
from tropism.bridges.transports.connection import SEND_TIMEOUT, Connection
from tropism.bridges.transports.stream import RawStream, Stream, put
from tropism.bridges.transports.websocket import WebSocketStream

PATIENCE = 5.0
"""Seconds that a peer has for its first message."""
LONGEST_HELLO = 65536


class Candidate:
    """A peer of which it is not known yet what it speaks.

    Args:
        sock: as accepted.
        origins: web pages that may connect.

    Attributes:
        born: when it connected, in seconds of the monotonic clock.
        is_silent: whether it has sent nothing so far.
    """

    def __init__(self, sock: socket.socket, origins: frozenset[str]) -> None:
        sock.setblocking(False)
        self.born, self.is_silent = time.monotonic(), True
        self._sock, self._origins = sock, origins
        self._data = b""
        self._connection: Connection | None = None

    def fileno(self) -> int:
        """The descriptor of its socket."""
        return self._sock.fileno()

    def advance(self) -> Connection | None:
        """Read what has come.

        Returns:
            The connection, once a whole HELLO has come, which is then the next message to be received.

        Raises:
            BridgeError: it is no client. Its socket is closed, after an answer if one makes sense.
        """
        try:
            if self._connection is None:
                self._sniff()
            return None if self._connection is None else self._greeted(self._connection)
        except BridgeError:
            self.close()
            raise

    def check_age(self) -> None:
        """Give up on it when its time has run out.

        Raises:
            HandshakeTimeout: it has; its socket is closed.
        """
        age = time.monotonic() - self.born
        if age > PATIENCE:
            self.close()
            raise HandshakeTimeout("handshake", age, text="a peer connected and sent no HELLO")

    def close(self) -> None:
        """Close its socket."""
        if self._connection is not None:
            self._connection.close()
        self._sock.close()

    def _greeted(self, connection: Connection) -> Connection | None:
        message = connection.take()
        if message is None:
            return None
        if message.type != Type.HELLO:
            error = UnexpectedMessage(f"{name_of(message.type)} instead of HELLO")
            connection.refuse(error)
            raise error
        connection.unread(message)
        connection.send_timeout = SEND_TIMEOUT
        return connection

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
