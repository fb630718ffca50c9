"""The sockets of the BonkLink client: not blocking, so that each wait has its own time."""

from __future__ import annotations

import selectors
import socket
import time

from tropism.bridges.errors import ConnectTimeout, StepTimeout

CHUNK = 2**18


def dial(host: str, port: int, timeout: float) -> socket.socket:
    """A connection, not blocking, without Nagle's delay; tried again and again for `timeout` seconds.

    Raises:
        ConnectTimeout: nobody listens there.
    """
    start, pause, attempts = time.monotonic(), 0.02, 0
    while True:
        attempts += 1
        left = start + timeout - time.monotonic()
        try:
            connection = socket.create_connection((host, port), max(left, 0.01))
            break
        except OSError as error:
            if left - pause <= 0:
                waited, text = time.monotonic() - start, str(error)
                raise ConnectTimeout(f"{host}:{port}", attempts, waited, text) from error
        time.sleep(pause)
        pause = min(2 * pause, 0.5)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setblocking(False)
    return connection


def _wait(connection: socket.socket, what: int, timeout: float | None) -> bool:
    # PollSelector: no descriptor of its own, and none of the limits of select()
    with getattr(selectors, "PollSelector", selectors.SelectSelector)() as selector:
        selector.register(connection, what)
        return bool(selector.select(timeout))


def receive(connection: socket.socket) -> bytes:
    """What has come, waiting for it; empty at the end."""
    while True:
        try:
            return connection.recv(CHUNK)
        except BlockingIOError:
            _wait(connection, selectors.EVENT_READ, None)


def send_all(connection: socket.socket, data: bytes, timeout: float) -> None:
    """Send all of `data`.

    Raises:
        StepTimeout: the peer takes nothing; part of it may be out.
    """
    end = time.monotonic() + timeout
    while data:
        try:
            data = data[connection.send(data) :]
        except BlockingIOError:
            if not _wait(connection, selectors.EVENT_WRITE, max(end - time.monotonic(), 0.0)):
                raise StepTimeout("step", timeout, None, "the game takes no actions") from None
