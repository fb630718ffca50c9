"""A listener: accepts peers, raw or over WebSocket, and lets nobody hold it up."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import TypeVar

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
from tropism.bridges.transports.lobby import Admitted, Begin, Candidate, busy, hello_only
from tropism.bridges.transports.opening import Steps
from tropism.bridges.transports.polling import READ, milliseconds, new_poller
from tropism.errors import OptionError

PENDING = 16
T = TypeVar("T")


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
        self._ready: deque[Admitted] = deque()
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
        return self._first(hello_only, timeout, watch, strict).connection

    def admit(
        self, begin: Callable[[Connection], Steps[T]], timeout: float, watch: int | None = None
    ) -> tuple[Connection, T]:
        """Go through openings with all who come, side by side, until the first is through.

        The others are then told "busy"; if nobody is in time, the next call goes on with their openings. What is wrong with
        one concerns its own peer only.

        Args:
            begin: begins an opening, whose next message is HELLO.
            timeout: seconds.
            watch: as in `accept`.

        Returns:
            The connection, and what its opening has returned.

        Raises:
            ConnectTimeout: nobody came, or nobody got through; the text says who was refused.
            ConnectionLost: the watched descriptor became readable.
        """
        peer = self._first(begin, timeout, watch)
        self._dismiss()
        return peer

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
        self._dismiss()
        for peer in self._candidates.values():
            peer.close()
        self._candidates.clear()
        return self._bound.close()

    def __enter__(self) -> Listener:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _refuse(self, bell: socket.socket) -> None:
        with bell:
            while bell.fileno() not in (ready := self._wait(None, bell.fileno())):
                self._attend(ready, busy)

    def _stop_guard(self) -> None:
        if self._guard is not None:
            thread, ringer = self._guard
            ringer.shutdown(
                socket.SHUT_RDWR
            )  # a forked child may hold a copy, so closing is no end
            ringer.close()
            thread.join()
            self._guard = None

    def _first(
        self, begin: Begin, timeout: float, watch: int | None, strict: bool = False
    ) -> Admitted:
        """Wait for the first who is through."""
        if self._bound.fileno() < 0:
            raise BridgeClosed("the listener is closed")
        self._stop_guard()
        self.refused.clear()
        deadline, left = time.monotonic() + timeout, timeout
        while left >= 0:
            if (peer := self._step(begin, left, watch)) is not None:
                return peer
            if strict and self.refused:
                raise self.refused.pop()
            left = deadline - time.monotonic()
        raise ConnectTimeout(self.address, 1, timeout, self._refusals())

    def _step(self, begin: Begin, timeout: float, watch: int | None) -> Admitted | None:
        """Wait for something to happen, once."""
        if not self._ready:
            ready = self._wait(timeout, watch)
            self._attend(ready, begin)
            if watch in ready:
                raise ConnectionLost("nobody will come: the watched process has ended")
        return self._ready.popleft() if self._ready else None

    def _attend(self, ready: Iterable[int], begin: Begin) -> None:
        """Go on with those of whom something has come, or whose time has run out."""
        for fd in ready:
            if fd == self._bound.fileno():
                self._welcome(begin)
            elif fd in self._candidates:  # else it is the watch, or was dropped to make room
                self._advance(fd, begin)
        now = time.monotonic()
        for fd in [fd for fd, candidate in self._candidates.items() if candidate.due <= now]:
            self._advance(fd, begin)

    def _wait(self, timeout: float | None, watch: int | None) -> list[int]:
        """The descriptors at which something has happened, before that or the time of a candidate runs out."""
        poller = new_poller()
        watched = () if watch is None else (watch,)
        for fd in (self._bound.fileno(), *watched):
            poller.register(fd, READ)
        for fd, candidate in self._candidates.items():
            poller.register(fd, candidate.events)
        now = time.monotonic()
        limits = [candidate.due - now for candidate in self._candidates.values()]
        limit = min(limits if timeout is None else [timeout, *limits], default=None)
        ready = poller.poll(None if limit is None else milliseconds(limit))
        return [fd for fd, _ in ready]

    def _welcome(self, begin: Begin) -> None:
        for _ in range(PENDING):
            sock = self._bound.accept()
            if sock is None:
                return
            if len(self._candidates) >= PENDING:
                self._drop_one()
            candidate = Candidate(sock, self._origins)
            self._candidates[candidate.fileno()] = candidate
            self._advance(candidate.fileno(), begin)

    def _drop_one(self) -> None:
        """Make room: who has come least far goes, the oldest first."""
        candidates = self._candidates
        least = min(candidates, key=lambda fd: (candidates[fd].rank, candidates[fd].born))
        candidates.pop(least).close()

    def _advance(self, fd: int, begin: Begin) -> None:
        try:
            if (peer := self._candidates[fd].advance(begin)) is None:
                return
            self._ready.append(peer)
        except BridgeError as error:
            self.refused.append(error)
        del self._candidates[fd]

    def _dismiss(self) -> None:
        """Refuse all who are in an opening."""
        error = PeerBusy("no further session is opened")
        under_way = [fd for fd, candidate in self._candidates.items() if candidate.rank > 1]
        for peer in (*map(self._candidates.pop, under_way), *(p.connection for p in self._ready)):
            peer.refuse(error)
        self._ready.clear()

    def _refusals(self) -> str:
        if not self.refused:
            return "nobody connected"
        return "; refused: ".join(("nobody was a client", *map(str, self.refused)))
