"""A game's line to its agents: it listens or dials, opens a session, loses it, and waits for the next."""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Mapping
from typing import Any

from tropism.bridges.errors import (
    BridgeError,
    BridgeTimeout,
    ConnectionLost,
    ConnectTimeout,
    PeerBusy,
)
from tropism.bridges.protocol.header import Type
from tropism.bridges.protocol.messages import Message, read_json
from tropism.bridges.protocol.spec import Spec
from tropism.bridges.record import Direction, Recorder, Tee
from tropism.bridges.transports.connection import Connection
from tropism.bridges.transports.dial import dial
from tropism.bridges.transports.handshake import Agreement, game_steps
from tropism.bridges.transports.listener import Listener
from tropism.bridges.transports.opening import Steps, go_through
from tropism.bridges.transports.shm.upgrade import channel_steps
from tropism.errors import OptionError

CLOSE = int(Type.CLOSE)
log = logging.getLogger(__name__)
AT_ONCE_S = 60.0
"""Waiting for ever is done in slices of this many seconds."""
DIAL_S = 30.0
LOOK_AGAIN_S = 0.5
"""How long a game that dials leaves an agent alone that has refused it, in seconds."""


class Link:
    """One session with an agent after the other; `Game` tells the arguments.

    Attributes:
        address: dialled or listened on.
        mode: "lockstep" or "latest", as the agent wants.
        wait: whether another agent is waited for when one is gone.
        over: the agent is gone and no other is waited for.
        reason: why the last session ended.
        channel: to the agent, or None.
    """

    def __init__(
        self,
        spec: Spec,
        caps: frozenset[str],
        address: str | None = None,
        listen: str | None = None,
        token: str | None = None,
        wait: bool | None = None,
        recorder: Recorder | None = None,
        spin_us: float | None = None,
    ) -> None:
        if address is not None and listen is not None:
            raise OptionError("a game either dials `address` or listens at `listen`, not both")
        self._session = ""
        if address is None and listen is None:
            address, found, self._session = from_environment(os.environ)
            token = found or token
        self._spec, self._caps, self._recorder, self._token = spec, caps, recorder, token
        self._spin_us = spin_us
        self._listener = None if listen is None else Listener(listen, token=token)
        self.wait = listen is not None if wait is None else wait
        self.address = str(address if self._listener is None else self._listener.address)
        self.mode, self.reason, self.over = "lockstep", "", False
        self.channel: Any = None

    @property
    def open(self) -> bool:
        """Whether an agent is there."""
        return self.channel is not None

    def connect(self, timeout: float | None = None) -> bool:
        """Wait for an agent and open a session with it.

        Returns:
            Whether one came within `timeout` seconds (None: for ever).

        Raises:
            ConnectTimeout: for half a minute there was nobody to dial, and the game does not wait for another agent.
            BridgeError: an agent that was dialled could not be agreed with. A listener logs it and goes on waiting.
        """
        end = math.inf if timeout is None else time.monotonic() + timeout
        gives_up = self._listener is None and not self.wait
        while self.channel is None and not self.over:
            left = max(end - time.monotonic(), 0.0)
            try:
                self._begin(*self._opened(min(left, DIAL_S if gives_up else AT_ONCE_S)))
            except ConnectTimeout:
                if gives_up and left >= DIAL_S:
                    raise  # else a game whose agent has died would go on for ever
                if left <= AT_ONCE_S:
                    return False
            except BridgeError as error:
                self._forgive(error, left)
                if not left:
                    return False
        return self.channel is not None

    def send(self, type: int, body: Any = b"", seq: int = 0, episode: int = 0) -> None:  # noqa: A002
        """Send a message; if the agent is gone, the session ends."""
        if self.channel is None:
            return
        try:
            self.channel.send(type, body, seq, episode)
        except BridgeTimeout as error:
            if self.mode != "latest":  # there what is left goes before the next frame
                self.lose(error)
        except BridgeError as error:
            self.lose(error)

    def can_send(self) -> bool:
        """Whether a message could be sent without waiting."""
        try:
            return self.channel is not None and self.channel.can_send()
        except BridgeError as error:
            self.lose(error)
            return False

    def receive(self, timeout: float | None = None) -> Message | None:
        """Wait for a message that concerns the game.

        Returns:
            None: nothing came within `timeout` seconds (None: a minute), or the session has ended.
        """
        channel = self.channel
        if channel is None:
            return None
        try:
            if timeout == 0:
                message = channel.take()
            else:
                message = channel.receive(AT_ONCE_S if timeout is None else min(timeout, AT_ONCE_S))
            if message is None or message.type != CLOSE:
                return message
            self._end(str(read_json(message.body, Type.CLOSE).get("reason", "")))
        except BridgeTimeout:
            pass
        except BridgeError as error:
            self.lose(error)
        return None

    def refuse(self, error: BridgeError) -> None:
        """Tell the agent what is wrong, and end the session."""
        if self.channel is not None:
            self.channel.refuse(error)
            self.lose(error)

    def lose(self, error: BridgeError) -> None:
        """End the session because of an error."""
        if not isinstance(error, ConnectionLost):
            log.warning("the session with an agent has ended: %s", error)
        self._end(str(error))

    def close(self, reason: str = "the game has closed") -> None:
        """End the session, and wait for no other; a second call does nothing."""
        self.wait = False
        self._end(reason)
        if self._listener is not None:
            self._listener.close()

    def _end(self, reason: str) -> None:
        if self.channel is not None:
            self.channel.close(reason)
            self.channel = None
        self.reason, self.over = reason, not self.wait

    def _opened(self, timeout: float) -> tuple[Agreement, Any]:
        """A session with the agent at our address, or with the first of those who come."""
        if self._listener is not None:
            return self._listener.admit(self._logged, timeout)[1]
        connection = dial(self.address, timeout)
        try:
            return go_through(connection, self._steps(connection))
        except BaseException:
            connection.close()
            raise

    def _steps(self, connection: Connection) -> Steps[tuple[Agreement, Any]]:
        """The opening of a session: what was agreed upon, and the channel."""
        agreement = yield from game_steps(
            connection,
            self._spec,
            dialled=self._listener is None,
            token=self._token,
            caps=self._caps,
            session=self._session,
            name=self._spec.name,
        )
        return agreement, (yield from channel_steps(connection, agreement, self._spin_us))

    def _logged(self, connection: Connection) -> Steps[tuple[Agreement, Any]]:
        """The same with somebody who has come, whose errors nobody else hears of."""
        try:
            return (yield from self._steps(connection))
        except BridgeError as error:
            log.warning("no session with an agent at %s: %s", self.address, error)
            raise

    def _begin(self, agreement: Agreement, channel: Any) -> None:
        """Go on with a session that is open."""
        self.mode = agreement.mode
        if self.mode == "latest":
            channel.send_timeout = 0.0  # a live game cannot wait
        self.channel = (
            channel if self._recorder is None else self._recorded(channel, self._recorder)
        )
        if self._listener is not None:
            self._listener.refuse_others()

    def _recorded(self, channel: Any, recorder: Recorder) -> Tee:
        try:
            recorder.write(Direction.TO_AGENT, Type.SPEC, self._spec.to_bytes(), 0, 0)
        except BaseException:
            channel.close("the game cannot record the session")
            raise
        return Tee(channel, recorder, "game")

    def _forgive(self, error: BridgeError, left: float) -> None:
        """Go on waiting after an opening that failed, if that may help."""
        if self._listener is None:
            if not (self.wait and isinstance(error, (ConnectionLost, BridgeTimeout, PeerBusy))):
                raise error
            time.sleep(min(left, LOOK_AGAIN_S))
        log.warning("no session with an agent at %s: %s", self.address, error)


def from_environment(environ: Mapping[str, str]) -> tuple[str, str | None, str]:
    """Address, token and session that a launching agent has left in the environment.

    Raises:
        OptionError: there is no address.
    """
    address = environ.get("TROPISM_BRIDGE_ADDR")
    if not address:
        raise OptionError(
            "where is the agent? Let it launch the game, set TROPISM_BRIDGE_ADDR to its address, or give `address` or"
            " `listen`"
        )
    token = environ.get("TROPISM_BRIDGE_TOKEN") or None
    return address, token, environ.get("TROPISM_BRIDGE_SESSION", "")
