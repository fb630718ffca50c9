"""Bytes on their way into a non-blocking socket; none is lost or sent twice when a time runs out."""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence

from tropism.bridges.errors import BridgeTimeout
from tropism.bridges.transports.blocking import DONT_WAIT
from tropism.bridges.transports.polling import WRITE, milliseconds, new_poller
from tropism.bridges.transports.stream import Bytes

_HAS_SENDMSG = hasattr(socket.socket, "sendmsg")


class Outbox:
    """Sends bytes in order.

    Args:
        sock: connected.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._unsent: Bytes = b""

    def write(self, parts: Sequence[Bytes], timeout: float) -> None:
        """Send these pieces after all that is left from before.

        Raises:
            BridgeTimeout: the system did not take everything within `timeout` seconds; what is left is kept.
            OSError: the connection is gone.
        """
        if len(parts) == 1 and not self._unsent:
            sent = self._send(parts)
            if sent == len(parts[0]):
                return
            self._unsent = memoryview(parts[0])[sent:]
        elif self._unsent:
            self._unsent = b"".join((self._unsent, *parts))
        else:
            self._begin(parts)
        if self._unsent:
            self.flush(timeout)

    def flush(self, timeout: float) -> None:
        """Send what is left; raises as `write` does."""
        start = time.monotonic()
        while self._unsent:
            waited = time.monotonic() - start
            if not self.wait(timeout - waited):
                text = f"the peer does not read, {len(self._unsent)} bytes are left"
                raise BridgeTimeout("send", waited, text=text)
            self._unsent = memoryview(self._unsent)[self._send((self._unsent,)) :]

    def wait(self, timeout: float) -> bool:
        """Whether the system would take some bytes within `timeout` seconds."""
        poller = new_poller()
        poller.register(self._sock.fileno(), WRITE)
        return bool(poller.poll(milliseconds(timeout)))

    def clear(self) -> None:
        """Forget what is left: nobody will read it."""
        self._unsent = b""

    def _begin(self, parts: Sequence[Bytes]) -> None:
        if len(parts) > 1 and not _HAS_SENDMSG:
            parts = (b"".join(parts),)
        length, sent = sum(map(len, parts)), self._send(parts)
        if sent < length:
            self._unsent = memoryview(b"".join(parts))[sent:]

    def _send(self, parts: Sequence[Bytes]) -> int:
        try:
            if len(parts) == 1:
                return self._sock.send(parts[0], DONT_WAIT)
            return self._sock.sendmsg(parts, (), DONT_WAIT)
        except BlockingIOError:
            return 0
