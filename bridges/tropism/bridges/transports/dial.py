"""Dialling a listener that may not be there yet."""

from __future__ import annotations

import socket
import time

from tropism.bridges.errors import ConnectTimeout, ProtocolError
from tropism.bridges.transports import upgrade
from tropism.bridges.transports.address import Address
from tropism.bridges.transports.connection import Connection
from tropism.bridges.transports.stream import put
from tropism.bridges.transports.websocket import WebSocketStream

FIRST_PAUSE, LONGEST_PAUSE = 0.01, 0.5


def dial(address: str | Address, timeout: float = 30.0) -> Connection:
    """Connect, trying again until somebody listens.

    Args:
        address: of the listener.
        timeout: seconds for all attempts together.

    Raises:
        ConnectTimeout: nobody answered; the text says why the last attempt failed.
        AuthError: a WebSocket was refused.
        OptionError: the address is none.
    """
    target = Address.parse(address)
    deadline, pause, attempts = time.monotonic() + timeout, FIRST_PAUSE, 0
    while True:
        attempts += 1
        try:
            return _attempt(target, max(deadline - time.monotonic(), 0.001))
        except (OSError, ProtocolError) as error:
            if time.monotonic() + pause > deadline:
                raise ConnectTimeout(target, attempts, timeout, str(error)) from error
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


def _attempt(address: Address, timeout: float) -> Connection:
    sock = _connect(address, timeout)
    try:
        if address.scheme != "ws":
            return Connection(sock)
        return Connection(sock, _open_websocket(sock, address, timeout))
    except BaseException:
        sock.close()
        raise


def _connect(address: Address, timeout: float) -> socket.socket:
    if not address.is_unix:
        sock = socket.create_connection((address.host, address.port), timeout)
        if sock.getsockname() == sock.getpeername():  # a free port may be given to us to dial from
            sock.close()
            raise ConnectionRefusedError("nobody listens there")
        return sock
    sock = socket.socket(address.family, socket.SOCK_STREAM)
    try:
        sock.settimeout(timeout)
        sock.connect(address.path)
    except BaseException:
        sock.close()
        raise
    return sock


def _open_websocket(sock: socket.socket, address: Address, timeout: float) -> WebSocketStream:
    deadline = time.monotonic() + timeout
    head, key = upgrade.request(str(address).removeprefix("ws://"))
    sock.sendall(head)
    answer = b""
    while upgrade.END not in answer:
        sock.settimeout(max(deadline - time.monotonic(), 0.001))
        answer += (data := sock.recv(4096))
        if not data or len(answer) > upgrade.LONGEST_HEAD:
            raise ProtocolError("no WebSocket: the answer has no end")
    head, _, rest = answer.partition(upgrade.END)
    upgrade.check_answer(head, key)
    stream = WebSocketStream(is_client=True)
    put(stream, rest)
    return stream
