"""Bytes on their way into a non-blocking socket; none is lost or sent twice when a time runs out."""

from __future__ import annotations

import socket
import time

from tropism.bridges.errors import BridgeTimeout
from tropism.bridges.transports.blocking import DONT_WAIT
from tropism.bridges.transports.polling import WRITE, milliseconds, new_poller
from tropism.bridges.transports.stream import Bytes

_HAS_SENDMSG = hasattr(socket.socket, "sendmsg")


class Outbox:
    """Sends bytes in order.

    Args:
        sock: connected.

    Attributes:
        unsent: what is left of all that was written.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.unsent: Bytes = b""

    def write(self, first: Bytes, rest: Bytes, timeout: float) -> None:
        """Send these two pieces, of which the second may be empty, after all that is left from before.

        Raises:
            BridgeTimeout: the system did not take everything within `timeout` seconds; what is left is kept.
            OSError: the connection is gone.
        """
        if self.unsent:
            self.unsent = b"".join((self.unsent, first, rest))
        else:
            sent = self._send(first, rest)
            if sent == len(first) + len(rest):
                return
            self.unsent = memoryview(b"".join((first, rest)))[sent:]
        self.flush(timeout)

    def flush(self, timeout: float) -> None:
        """Send what is left; raises as `write` does."""
        start = time.monotonic()
        while self.unsent:
            waited = time.monotonic() - start
            if not self.wait(timeout - waited):
                text = f"the peer does not read, {len(self.unsent)} bytes are left"
                raise BridgeTimeout("send", waited, text=text)
            self.unsent = memoryview(self.unsent)[self._send(self.unsent) :]

    def wait(self, timeout: float) -> bool:
        """Whether the system would take some bytes within `timeout` seconds."""
        poller = new_poller()
        poller.register(self._sock.fileno(), WRITE)
        return bool(poller.poll(milliseconds(timeout)))

    def clear(self) -> None:
        """Forget what is left: nobody will read it."""
        self.unsent = b""

    def _send(self, first: Bytes, rest: Bytes = b"") -> int:
        try:
            if not rest:
                return self._sock.send(first, DONT_WAIT)
            if _HAS_SENDMSG:
                return self._sock.sendmsg((first, rest), (), DONT_WAIT)
            return self._sock.send(b"".join((first, rest)), DONT_WAIT)
        except BlockingIOError:
            return 0
