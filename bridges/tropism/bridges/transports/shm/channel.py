"""A session whose steps go through shared memory, with the interface of a `Connection`."""

from __future__ import annotations

import time
from collections import deque

from tropism.bridges.errors import BridgeClosed, BridgeError, ConnectionLost, timeout_of
from tropism.bridges.protocol.header import Type, is_newer
from tropism.bridges.protocol.messages import Message
from tropism.bridges.transports.connection import Connection
from tropism.bridges.transports.patience import Patience
from tropism.bridges.transports.shm.region import Region
from tropism.bridges.transports.shm.ring import OBSERVATIONS, Ring
from tropism.bridges.transports.stream import Bytes

RECHECK_S = 0.05
"""The longest sleep without looking: what a bell that was lost costs."""
LOOK_S = 0.001
"""How often the connection is looked at while messages come through memory."""
_IN_MEMORY = frozenset((int(Type.STEP), int(Type.OBS), int(Type.ACTION)))
_REQUESTS = frozenset((int(Type.RESET), int(Type.STEP), int(Type.ACTION)))
_BURST = range(50)


class ShmChannel:
    """Sends and receives messages like a `Connection`: STEP, OBS and ACTION through memory, if they fit.

    Of several messages in memory only the newest is received. With `copy=False` the body of a message is a view, valid until
    two more of its kind have come.

    Args:
        connection: of the session.
        region: shared by both sides.
        ring: on this region.
        is_agent: which side this is.
        spin_us: microseconds to look for an answer before sleeping; None: decided by what happens.
    """

    def __init__(
        self,
        connection: Connection,
        region: Region,
        ring: Ring,
        is_agent: bool,
        spin_us: float | None = None,
    ) -> None:
        self.connection = connection
        self._region, self._ring = region, ring
        self._patience = Patience(spin_us, region.size // OBSERVATIONS)
        self._room = ring.room
        self._from_memory = ring.read if is_agent else self._next_request
        self._inbox: deque[Message] = deque()
        self._next_look = 0.0
        self._last = self._episode = 0  # of the requests taken, on the side of the game
        self._held: Message | None = None
        self._closed = False

    # --- as of the connection --------------------------------------------------------------------

    @property
    def send_timeout(self) -> float:
        """Seconds within which a message on the connection must be taken from us by the system."""
        return self.connection.send_timeout

    @send_timeout.setter
    def send_timeout(self, seconds: float) -> None:
        self.connection.send_timeout = seconds

    @property
    def closed(self) -> bool:
        """Whether it was closed on this side."""
        return self._closed

    @property
    def dropped(self) -> int:
        """How many messages in memory were overwritten by newer ones before they were received."""
        return self._ring.dropped

    @property
    def max_message(self) -> int:
        """The longest body accepted on the connection, in bytes."""
        return self.connection.max_message

    @property
    def skipped(self) -> int:
        """How many messages of unknown types were skipped."""
        return self.connection.skipped

    def fileno(self) -> int:
        """The descriptor of the connection, -1 once closed; it tells nothing about memory."""
        return self.connection.fileno()

    def watch(self, fd: int | None) -> None:
        """See `Connection.watch`."""
        self.connection.watch(fd)

    def unread(self, message: Message) -> None:
        """Put a message back, to be received next."""
        self._inbox.appendleft(message)
        self._next_look = 0.0

    def can_send(self) -> bool:
        """Whether a message could be sent without waiting: memory has always room."""
        if self._closed:
            raise BridgeClosed("the session is closed")
        return True

    def refuse(self, error: BridgeError) -> None:
        """Tell the peer by ERROR what is wrong, and close."""
        self.connection.refuse(error)
        self.close()

    def close(self, reason: str | None = None) -> None:
        """Close, with a CLOSE if a reason is given; does nothing the second time."""
        if not self._closed:
            self._closed = True
            self._next_look = 0.0
            self._patience.end()
            self.connection.close(reason)
            self._ring.release()
            self._region.close()

    # --- messages --------------------------------------------------------------------------------

    def send(self, type: int, body: Bytes = b"", seq: int = 0, episode: int = 0) -> None:  # noqa: A002
        """Send a message; raises as `Connection.send` does."""
        if self._closed:
            raise BridgeClosed("the session is closed")
        if type not in _IN_MEMORY or len(body) > self._room:
            self.connection.send(type, body, seq, episode)
        elif self._ring.write(type, body, seq, episode):
            self._ring_bell()

    def receive(self, timeout: float, phase: str = "receive", seq: int | None = None) -> Message:
        """Wait for the next message; arguments and errors are those of `Connection.receive`.

        Raises:
            ShmCorrupt: what stands in memory is not what the protocol says.
        """
        ring, message = self._ring, None
        if time.monotonic() >= self._next_look:
            message = self._look()
        if message is None and (ring.flags[ring.flag] != ring.seen or self._spin()):
            message = self._from_memory()
        return self._sleep(timeout, phase, seq) if message is None else message

    def take(self) -> Message | None:
        """The next message if it is there already, else None; raises as `receive` does."""
        message = self._look()
        return self._from_connection() if message is None else message

    def _look(self) -> Message | None:
        """A message that came already, as far as that can be known without asking the system each time."""
        now = time.monotonic()
        if now >= self._next_look:
            message = self._look_everywhere()
            if message is not None:
                return message
            self._next_look = now + LOOK_S
        return self._from_memory()

    def _look_everywhere(self) -> Message | None:
        if self._closed:
            raise BridgeClosed("the session is closed")
        if self._inbox:
            return self._inbox.popleft()
        self._ring.check()
        return self._from_connection()

    def _next_request(self) -> Message | None:
        """On the side of the game: the newest request, unless it has to wait for its turn."""
        message = self._ring.read()
        if message is None:
            message = self._held
        return None if message is None else self._in_order(message)

    def _in_order(self, message: Message) -> Message | None:
        """Hold a request back whose RESET is still on its way over the connection."""
        self._held = None
        if not is_newer(message.seq, self._last):
            return None
        if message.episode != self._episode:
            self._held = message._replace(body=bytes(message.body))
            return None
        self._last = message.seq
        return message

    def _from_connection(self) -> Message | None:
        return self._noted(self.connection.take())

    def _noted(self, message: Message | None) -> Message | None:
        if message is not None:
            self._next_look = 0.0  # more may have come with it, of which the system tells no more
            if message.type in _REQUESTS:
                self._last, self._episode = message.seq, message.episode
        return message

    def _spin(self) -> bool:
        """Look again and again for a short while; whether something new came into memory."""
        seconds = self._patience.seconds()
        if not seconds:
            return False
        ring = self._ring
        flags, flag, seen = ring.flags, ring.flag, ring.seen
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            for _ in _BURST:
                if flags[flag] != seen:
                    self._patience.misses = 0
                    return True
        self._patience.miss()
        return False

    def _sleep(self, timeout: float, phase: str, seq: int | None) -> Message:
        """Wait on the connection for a message or the bell."""
        start, waited = time.monotonic(), 0.0
        self._ring.set_waiting(True)
        try:
            message = self._from_memory()
            while message is None:
                if waited > timeout:
                    raise timeout_of(phase, waited, seq, self.connection.progress)
                message = self._wait(min(max(timeout - waited, 0.0), RECHECK_S))
                waited = time.monotonic() - start
            return message
        finally:
            self._ring.set_waiting(False)

    def _wait(self, seconds: float) -> Message | None:
        try:
            message = self._noted(self.connection.rest(seconds))
        except ConnectionLost:  # but what it wrote last is still there
            message = self._from_memory()
            if message is None:
                raise
        return self._from_memory() if message is None else message

    def _ring_bell(self) -> None:
        self.connection.send(Type.BELL)
