"""Connections over WebSocket, made to look like plain ones: each `sendall` is one binary message."""

from __future__ import annotations

import contextlib
import select
import socket
import time
from typing import Any

from tropism.bridges.errors import BridgeError
from tropism.bridges.transports.address import Address
from tropism.bridges.transports.upgrade import END, LONGEST_HEAD, answer, check_answer, request
from tropism.bridges.transports.websocket import WebSocketStream


class _Binary(WebSocketStream):
    """Gives binary messages as they came, whatever is in them."""

    def _message(self, raw: bytearray | memoryview) -> Any:
        return bytes(raw)


class WebSocketPipe:
    """The part of a socket that `Wire` needs, over an upgraded connection.

    Args:
        sock: on which the upgrade is done.
        is_client: whether this side dialled.
    """

    def __init__(self, sock: socket.socket, is_client: bool) -> None:
        self.plain, self._stream = sock, _Binary(is_client)
        self.settimeout, self.close = sock.settimeout, sock.close

    def sendall(self, data: bytes) -> None:
        """Send bytes as one binary message."""
        self.plain.sendall(b"".join(self._stream.frame(data, b"")))

    def recv(self, _: int) -> bytes:
        """The next binary message whole; empty at the end.

        Raises:
            OSError: the other side breaks RFC 6455, or the connection.
        """
        try:
            while (message := self._stream.next()) is None and not self._stream.closed:
                count = self.plain.recv_into(self._stream.room())
                if not count:
                    return b""
                self._stream.received(count)
        except BridgeError as error:
            raise OSError(str(error)) from error
        if self._stream.replies:
            self.plain.sendall(bytes(self._stream.replies))
            self._stream.replies.clear()
        return message or b""  # type: ignore[return-value]  # a _Binary gives bytes


def upgrade(sock: socket.socket, address: Address) -> Any:
    """A connection to a listening game, upgraded if the address says so.

    Raises:
        OSError: the game does not upgrade.
    """
    if address.scheme != "ws":
        return plain(sock)
    head, key = request(f"{address.host}:{address.port}")
    sock.sendall(head)
    try:
        check_answer(_read_head(sock), key)
    except BridgeError as error:
        raise OSError(str(error)) from error
    return WebSocketPipe(plain(sock), is_client=True)


def sniff(sock: socket.socket, patience: float) -> Any:
    """A connection of a game that dialled, upgraded if it asks for that; None if it has hung up already.

    Raises:
        OSError: it sends nothing, or no right request.
    """
    sock.settimeout(patience)
    deadline = time.monotonic() + patience
    while len(first := sock.recv(4, socket.MSG_PEEK)) < 4 and first:
        if time.monotonic() > deadline:
            break
        time.sleep(0.005)
    if _hung_up(sock):  # it gave up while we were not looking, and will dial again
        sock.close()
        return None
    if first != b"GET ":
        return plain(sock)
    try:
        sock.sendall(answer(_read_head(sock), ()))
    except BridgeError as error:
        raise OSError(str(error)) from error
    return WebSocketPipe(plain(sock), is_client=False)


def plain(sock: socket.socket) -> socket.socket:
    """The same socket; small messages are sent at once."""
    if sock.family != getattr(socket, "AF_UNIX", None):
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def _hung_up(sock: socket.socket) -> bool:
    """Whether the other side has closed its end, where the system tells (Linux)."""
    hang_up = getattr(select, "POLLRDHUP", 0)
    poller = select.poll()
    poller.register(sock, hang_up)
    return any(events & (hang_up | select.POLLHUP) for _, events in poller.poll(0))


def _read_head(sock: socket.socket) -> bytes:
    """An HTTP head up to its empty line, not a byte more."""
    head = b""
    while not head.endswith(END) and len(head) < LONGEST_HEAD:
        data = sock.recv(1)
        if not data:
            raise ConnectionError("the end of the connection during the upgrade")
        head += data
    return head.removesuffix(END)
