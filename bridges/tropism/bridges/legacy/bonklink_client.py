"""BonkLink v1, the agent's side: connects to the original plugin, or to a game that speaks as it does."""

from __future__ import annotations

import os
import socket
import threading
import time
from contextlib import suppress
from dataclasses import replace

from tropism.bridges.errors import (
    BridgeClosed,
    BridgeError,
    ConnectionLost,
    ForkedBridge,
    StepTimeout,
    UnsupportedMessage,
    timeout_of,
)
from tropism.bridges.legacy.bonklink import PORT, Action, Request, State, decode_state
from tropism.bridges.legacy.bonklink_inbox import Inbox, Mode, Reading
from tropism.bridges.legacy.bonklink_socket import dial, receive, send_all
from tropism.bridges.legacy.bonklink_stream import PacketDecoder, frame_action
from tropism.bridges.protocol.header import is_newer

OFFER_PACKETS = 60
"""So many packets without the extension's trailer mean that the game does not know it."""


class BonkLinkClient:
    """A connection to a BonkLink game. A thread reads all the time, so the game is never held up.

    Args:
        host: of the game; the plugin listens on loopback only.
        port: of the game.
        mode: "latest" reads the newest state, "fifo" every one in order.
        extension: offer resets and rewards (see docs/bridge-legacy.md). A v1 game takes the offer for one
            neutral action.
        hold: send the last action again after every state. A v1 game applies an action for one tick only
            and then lets go of everything, so an agent slower than the game would press in pulses.
        timeout: seconds to connect, during which it is tried again and again.

    Raises:
        ConnectTimeout: nobody listens there.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = PORT,
        *,
        mode: Mode = "latest",
        extension: bool = False,
        hold: bool = False,
        timeout: float = 30.0,
    ) -> None:
        self.host, self.port, self.hold = host, port, hold
        self.mode: Mode = mode
        self.wants_extension = extension
        self.packets = self.connections = 0
        self.closed, self._pid = True, os.getpid()
        self.connect(timeout)

    def connect(self, timeout: float = 30.0) -> None:
        """Connect, anew if need be: everything not read from the old connection is dropped.

        Raises:
            ConnectTimeout: nobody listens there.
        """
        self.close()
        self._socket = dial(self.host, self.port, timeout)
        self._inbox, self._sending = Inbox(self.mode), threading.Lock()
        self._settled = threading.Event()  # whether the game knows the extension is known
        self._held: Action | None = None
        self.closed = self.extended = self._sent = False
        self._seq, self._first = 0, self.packets
        self._pid, self.connections = os.getpid(), self.connections + 1
        self._thread = threading.Thread(target=self._read_all, name="bonklink", daemon=True)
        self._thread.start()
        if self.wants_extension:
            self._send(Action(request=self._request()), timeout)

    def read(self, timeout: float = 1.0) -> Reading:
        """The newest state not read yet, or the next one; waits for it.

        Raises:
            StepTimeout: none came.
            ConnectionLost: the game has gone; `connect` connects again.
            ProtocolError: it sent what BonkLink v1 does not allow; the connection is closed.
            BridgeClosed, ForkedBridge: not usable any more, or not here.
        """
        self._check()
        return self._inbox.get(timeout)

    def send(self, action: Action, timeout: float = 1.0) -> int:
        """Send an action; its number if the extension is in use, else 0.

        A game takes one action each tick and lets the others wait, so send at most one for each reading.

        Raises:
            StepTimeout: the game takes nothing; the connection is closed.
            ConnectionLost, BridgeClosed, ForkedBridge: as in `read`.
        """
        self._check()
        if self.extended and action.request is None:
            action = replace(action, request=self._request())
        self._send(action, timeout)
        return action.request.seq if action.request else 0

    def negotiate(self, timeout: float = 5.0) -> bool:
        """Whether the game knows the extension; waits until it says so, or has not for 60 states.

        Nothing is read, so nothing is lost.
        """
        self._check()
        if self.wants_extension:
            self._settled.wait(timeout)
        return self.extended

    def reset(self, seed: int | None = None, timeout: float = 60.0) -> Reading:
        """Ask for a new episode and read its first state; only with the extension.

        Raises:
            UnsupportedMessage: the game does not know the extension.
            ResetTimeout: the game did not begin a new episode in time.
            BridgeError: as `read`.
        """
        if not self.extended:
            raise UnsupportedMessage("a BonkLink v1 game has no reset")
        end, seq = time.monotonic() + timeout, self.send(Action(request=self._request(True, seed)))
        while True:
            reading = self._inbox.get(max(end - time.monotonic(), 0.0), "reset")
            if shows(reading.state, seq):
                return reading
            if time.monotonic() >= end:
                raise timeout_of("reset", timeout, seq, "the game goes on without a reset")

    def close(self) -> None:
        """Close the connection; twice does no harm."""
        if self.closed or self._pid != os.getpid():
            return
        self.closed = True
        self._hang_up(BridgeClosed("closed"))
        self._thread.join()
        self._socket.close()

    def __enter__(self) -> BonkLinkClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _check(self) -> None:
        if self._pid != os.getpid():
            raise ForkedBridge("a BonkLink connection cannot be used in a forked child")
        if self.closed:
            raise BridgeClosed("this BonkLink connection is closed")

    def _request(self, reset: bool = False, seed: int | None = None) -> Request:
        self._seq = self._seq + 1 & 0xFFFFFFFF
        return Request(self._seq, reset, seed)

    def _send(self, action: Action, timeout: float) -> None:
        with self._sending:
            if self.hold:  # a click or a reset is meant once
                self._held = replace(action, click=None, request=None)
            self._sent = True
            self._write(action, timeout)

    def _write(self, action: Action, timeout: float) -> None:
        try:
            send_all(self._socket, frame_action(action), timeout)
        except StepTimeout as error:
            self._hang_up(error)  # half an action may be out: nothing can follow it
            raise
        except OSError as error:
            self._hang_up(ConnectionLost(f"the game is gone: {error}"))
            raise (self._inbox.error or ConnectionLost("the game is gone")) from error

    def _hang_up(self, error: BridgeError) -> None:
        self._inbox.fail(error)
        self._settled.set()
        with suppress(OSError):  # gone already
            self._socket.shutdown(socket.SHUT_RDWR)

    def _read_all(self) -> None:
        """The thread: everything that comes goes to the inbox, the end of it too."""
        decoder = PacketDecoder()
        try:
            while data := receive(self._socket):
                decoder.feed(data)
                while (packet := decoder.next()) is not None:
                    self._arrived(decode_state(packet.state), packet.frame)
            decoder.eof()
            self._hang_up(ConnectionLost("the game has closed the connection"))
        except OSError as error:
            self._hang_up(ConnectionLost(f"the connection broke: {error}"))
        except BridgeError as error:
            self._hang_up(error)

    def _arrived(self, state: State, frame: bytes) -> None:
        self.packets += 1
        self.extended = self.extended or state.outcome is not None
        if self.extended or self.packets - self._first >= OFFER_PACKETS:
            self._settled.set()
        self._inbox.put(state, frame)
        with self._sending:  # at most one action for each state, else the game falls behind
            if self._held is not None and not self._sent:
                self._write(self._held, 1.0)
            self._sent = False


def shows(state: State, seq: int) -> bool:
    """Whether a state shows the effect of request `seq`, in serial-number order."""
    return state.outcome is not None and not is_newer(seq, state.outcome.applied)
