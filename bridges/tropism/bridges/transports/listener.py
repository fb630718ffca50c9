"""A listener: accepts peers, raw or over WebSocket, and lets nobody hold it up."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections import deque
from collections.abc import Iterable

from tropism.bridges.errors import (
    BridgeClosed,
    BridgeError,
    ConnectionLost,
    ConnectTimeout,
    PeerBusy,
)
from tropism.bridges.transports.address import Address
from tropism.bridges.transports.binding import Bound, bind
from tropism.bridges.transports.connection import Connection
from tropism.bridges.transports.lobby import Candidate
from tropism.bridges.transports.polling import READ, milliseconds, new_poller
from tropism.errors import OptionError

PENDING = 16
LOOK = 0.5  # seconds after which silent peers are looked over again


class Listener:
    """Listens at an address for peers that say HELLO.

    Args:
        address: port 0 or an empty path lets the system choose. `ws://` is the same as `tcp://`.
        token: the secret that peers will have to prove; needed for addresses that other machines can reach.
        origins: web pages that may connect, such as "https://example.org".

    Attributes:
        address: where it listens; the port is the real one.
        refused: why the last peers were refused, oldest first.

    Raises:
        OptionError: the address can be reached from outside and there is no token.
        PortInUse: the address is taken.
    """

    def __init__(
        self,
        address: str | Address = "tcp://127.0.0.1:0",
        token: str | bytes | None = None,
        origins: Iterable[str] = (),
    ) -> None:
        wanted = Address.parse(address)
        if not wanted.is_loopback and not token:
            raise OptionError(f"address {wanted}: others can reach it, so it needs a token")
        self._bound: Bound = bind(wanted)
        self.address = self._bound.address
        self.refused: deque[BridgeError] = deque(maxlen=PENDING)
        self._origins = frozenset(origins)
        self._candidates: dict[int, Candidate] = {}
        self._ready: deque[Connection] = deque()
        self._guard: tuple[threading.Thread, socket.socket] | None = None
        self._pid = os.getpid()

    def accept(self, timeout: float, watch: int | None = None, strict: bool = False) -> Connection:
        """Wait for a peer whose HELLO has come; it is the next message to be received.

        Others that send nothing, or anything else, are refused meanwhile.

        Args:
            timeout: seconds.
            watch: a descriptor that becomes readable when there is no sense in waiting, such as a pidfd of the game.
            strict: raise what a peer does wrong, where only one is expected.

        Raises:
            ConnectTimeout: nobody came; the text says who was refused.
            ConnectionLost: the watched descriptor became readable.
            BridgeError: with `strict`, whatever was wrong.
        """
        if self._bound.fileno() < 0:
            raise BridgeClosed("the listener is closed")
        self._stop_guard()
        self.refused.clear()
        deadline, left = time.monotonic() + timeout, timeout
        while left >= 0:
            connection = self._step(min(left, LOOK), watch)
            if connection is not None:
                return connection
            if strict and self.refused:
                raise self.refused.pop()
            left = deadline - time.monotonic()
        raise ConnectTimeout(self.address, 1, timeout, self._refusals())

    def refuse_others(self) -> None:
        """From now until the next `accept`, answer everybody who comes by "busy", in a thread of its own."""
        if self._guard is None:
            bell, ringer = socket.socketpair()
            thread = threading.Thread(target=self._refuse, args=(bell,), daemon=True)
            self._guard = thread, ringer
            thread.start()

    def hide(self) -> None:
        """Let nobody else find a Unix socket whose place was chosen here: a kill leaves no file behind then."""
        self._bound.hide()

    def close(self) -> None:
        """Stop listening; does nothing the second time."""
        if os.getpid() != self._pid:  # a forked child must leave the parent's listener alone
            return self._bound.abandon()
        self._stop_guard()
        for peer in (*self._candidates.values(), *self._ready):
            peer.close()
        self._candidates.clear()
        self._ready.clear()
        return self._bound.close()

    def __enter__(self) -> Listener:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _refuse(self, bell: socket.socket) -> None:
        with bell, contextlib.suppress(ConnectionLost):  # the bell has rung
            while True:
                connection = self._step(None, bell.fileno())
                if connection is not None:
                    connection.refuse(PeerBusy("a session is under way"))

    def _stop_guard(self) -> None:
        if self._guard is not None:
            thread, ringer = self._guard
            ringer.shutdown(
                socket.SHUT_RDWR
            )  # a forked child may hold a copy, so closing is no end
            ringer.close()
            thread.join()
            self._guard = None

    def _step(self, timeout: float | None, watch: int | None) -> Connection | None:
        """Wait for something to happen, once."""
        if not self._ready:
            for fd in self._wait(timeout, watch):
                if fd == watch:
                    raise ConnectionLost("nobody will come: the watched process has ended")
                if fd == self._bound.fileno():
                    self._welcome()
                elif fd in self._candidates:  # else it has just been dropped to make room
                    self._advance(fd)
            self._look_over()
        return self._ready.popleft() if self._ready else None

    def _wait(self, timeout: float | None, watch: int | None) -> list[int]:
        poller = new_poller()
        watched = () if watch is None else (watch,)
        for fd in (self._bound.fileno(), *self._candidates, *watched):
            poller.register(fd, READ)
        if timeout is None and self._candidates:
            timeout = LOOK
        ready = poller.poll(None if timeout is None else milliseconds(timeout))
        return sorted((fd for fd, _ in ready), key=lambda fd: fd == watch)  # the watch comes last

    def _welcome(self) -> None:
        for _ in range(PENDING):
            sock = self._bound.accept()
            if sock is None:
                return
            if len(self._candidates) >= PENDING:
                self._drop_one()
            candidate = Candidate(sock, self._origins)
            self._candidates[candidate.fileno()] = candidate
            self._advance(candidate.fileno())

    def _drop_one(self) -> None:
        """Make room: the oldest goes, one that has said nothing first."""
        oldest = min(
            self._candidates.items(), key=lambda item: (not item[1].is_silent, item[1].born)
        )
        self._candidates.pop(oldest[0]).close()

    def _advance(self, fd: int) -> None:
        try:
            connection = self._candidates[fd].advance()
        except BridgeError as error:
            self.refused.append(error)
            del self._candidates[fd]
            return
        if connection is not None:
            del self._candidates[fd]
            self._ready.append(connection)

    def _look_over(self) -> None:
        for fd, candidate in list(self._candidates.items()):
            try:
                candidate.check_age()
            except BridgeError as error:
                self.refused.append(error)
                del self._candidates[fd]

    def _refusals(self) -> str:
        if not self.refused:
            return "nobody connected"
        return "; refused: ".join(("nobody was a client", *map(str, self.refused)))
