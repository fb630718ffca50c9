"""The agent's line to one game: launched, dialled or listened for, opened, and given back whole."""

from __future__ import annotations

import logging
import math
import secrets
import time
import warnings
from typing import Any

from tropism.bridges.errors import (
    BridgeError,
    ConnectionLost,
    ConnectTimeout,
    HandshakeTimeout,
    PeerBusy,
    ShmUnavailable,
)
from tropism.bridges.faults import explained, words
from tropism.bridges.forks import FORKS
from tropism.bridges.launcher import Launcher
from tropism.bridges.options import GameOptions
from tropism.bridges.protocol.header import Type
from tropism.bridges.record import Direction, Recorder, Tee
from tropism.bridges.strangers import is_of_a_stranger, no_client
from tropism.bridges.transports.address import Address
from tropism.bridges.transports.connection import Connection
from tropism.bridges.transports.dial import dial
from tropism.bridges.transports.handshake import Agreement, agent_steps, ready
from tropism.bridges.transports.listener import Listener
from tropism.bridges.transports.opening import Steps, go_through
from tropism.bridges.transports.patience import Patience
from tropism.bridges.transports.shm.upgrade import offer

BUSY_S, BUSY_PAUSE_S = 0.6, 0.05
"""Seconds for which a game that says that it is busy is asked again, and between two attempts: refused within a second."""

log = logging.getLogger(__name__)


class Line:
    """Brings one game up and takes it down.

    Args:
        options: where the game is.
        recorder: gets every message from SPEC on.

    Attributes:
        launcher: of the game, if it is launched here.
        channel: what sends and receives once connected.
        transport: what steps travel over: ``shm``, ``tcp``, ``unix`` or ``ws``.
        address: where we listen or dial.
    """

    def __init__(self, options: GameOptions, recorder: Recorder | None = None) -> None:
        self.options, self._recorder = options, recorder
        self.launcher: Launcher | None = None
        self.channel: Any = None
        self.address, self.transport = options.address or options.listens_at, ""
        self._listener: Listener | None = None
        self._stranger: BridgeError | None = None  # why the last one was refused
        fresh = options.command is not None and options.token is None
        self._token = secrets.token_hex(32) if fresh else options.token
        self._name = secrets.token_hex(8)

    def start(self) -> None:
        """Listen and launch; nothing to do for a game that is dialled.

        Raises:
            PortInUse: the address that was asked for is taken.
            BridgeError: the game cannot be started.
        """
        options = self.options
        if options.address is not None:
            return
        if options.command is not None:  # which is looked at before anything is opened
            self.launcher = Launcher(
                options.command,
                cwd=options.cwd,
                env=options.env,
                show_output=options.show_output,
                batch=options.batch,
            )
        try:
            self._listener = Listener(options.listens_at, self._token, options.origins)
            self.address = str(self._listener.address)
            if self.launcher is not None:
                self.launcher.start(self.address, self._token or "", self._name)
        except BaseException:
            self.close()
            raise

    def connect(self) -> Agreement:
        """Wait for the game and open a session with it.

        All who come are opened with side by side. Strangers who do not know the secret are refused and forgotten, unless
        nobody better comes.

        Raises:
            ConnectTimeout: nobody came.
            BridgeError: they could not agree.
        """
        start = time.monotonic()
        try:
            agreement = self._agree(start)
        except BridgeError as error:
            told = self._told(error, start)
            self.close()
            raise told from error.__cause__ if told is error else error
        except BaseException:
            self.close()
            raise
        self._attend(agreement)
        return agreement

    def close(self, reason: str | None = None, grace: float = 0.0) -> None:
        """Give everything back; a second call does nothing.

        Args:
            reason: told to the game by CLOSE; None: nothing is said.
            grace: seconds for a launched game to end by itself.
        """
        try:
            if self.channel is not None:
                self.channel.close(reason)
            if self.launcher is not None:
                self.launcher.stop(grace)
        finally:
            if self.launcher is not None:
                self.launcher.kill()  # for an interrupt while we waited
            if self._listener is not None:
                self._listener.close()

    def abandon(self) -> None:
        """In a forked child: close its copies of what belongs to the parent."""
        for part in (self.channel, self._listener):
            if part is not None:
                part.close()

    # -- opening --------------------------------------------------------------------------------------------

    def _agree(self, start: float) -> Agreement:
        """Open a session with the first who knows the secret."""
        end = start + self.options.deadlines.connect
        if self._listener is None:
            connection, agreement = self._dialled(end)
        else:
            connection, agreement = self._admitted(self._listener, end)
        connection.send_timeout = self.options.deadlines.step
        self.channel, self.transport = connection, Address.parse(self.address).scheme
        self._upgrade(connection, agreement)
        if self.channel is connection:
            size = sum(layout.size for layout in agreement.spec.observations)
            connection.patience = Patience(self.options.spin_us, size)
        ready(connection, agreement)
        return agreement

    def _dialled(self, end: float) -> tuple[Connection, Agreement]:
        """A session with the game at our address; perhaps it has not noticed yet that its last agent is gone."""
        busy = math.inf
        while True:
            connection = dial(self.options.address or "", max(end - time.monotonic(), 0.0))
            try:
                return connection, go_through(connection, self._steps(connection))
            except BaseException as error:
                connection.close()
                busy = min(busy, time.monotonic())
                if not isinstance(error, PeerBusy) or time.monotonic() > busy + BUSY_S:
                    raise
            time.sleep(BUSY_PAUSE_S)

    def _admitted(self, listener: Listener, end: float) -> tuple[Connection, Agreement]:
        """A session with the first who comes and is no stranger."""
        process = None if self.launcher is None else self.launcher.fileno()
        try:
            left = max(end - time.monotonic(), 0.0)
            connection, outcome = listener.admit(self._knowing, left, process)
        except (ConnectTimeout, ConnectionLost) as error:
            raise self._stranger or no_client(listener.refused, self.launcher) or error from error
        if isinstance(outcome, BridgeError):
            raise outcome
        connection.watch(process)
        return connection, outcome

    def _steps(self, connection: Connection) -> Steps[Agreement]:
        """The opening of a session."""
        options = self.options
        return agent_steps(
            connection,
            dialled=self._listener is None,
            token=self._token,
            caps=options.caps,
            mode=options.mode,
            session=self._name,
            max_message=options.max_message,
            timeout=options.deadlines.handshake,
        )

    def _knowing(self, connection: Connection) -> Steps[Agreement | BridgeError]:
        """The same that returns the error of the game we wait for; one of a stranger only ends his own opening."""
        try:
            return (yield from self._steps(connection))
        except BridgeError as error:
            if not is_of_a_stranger(error, connection, self._token is not None, self._name):
                return error
            self._stranger = error
            raise

    def _upgrade(self, connection: Connection, agreement: Agreement) -> None:
        """Put steps into shared memory, if that is wanted and can be had."""
        options = self.options
        forced = options.transport == "shm"
        if "shm" not in agreement.caps and not forced:
            return
        try:
            self.channel = offer(connection, agreement, copy=options.copy, spin_us=options.spin_us)
            self.transport = "shm"
        except ShmUnavailable as error:
            if forced:
                raise
            text = f"no shared memory, steps go over {self.transport}: {error}"
            warnings.warn(text, stacklevel=2)

    def _attend(self, agreement: Agreement) -> None:
        """The session is open: log it, record it, and tell others that we are busy."""
        peer, common = agreement.peer, sorted(agreement.caps)
        version = ".".join(map(str, peer.proto))
        log.info("session with %r, which speaks %s: %s", agreement.spec.name, version, common)
        FORKS.release(self)
        if self._recorder is not None:
            self._recorder.write(Direction.TO_AGENT, Type.SPEC, agreement.spec.to_bytes(), 0, 0)
            self.channel = Tee(self.channel, self._recorder, "agent")
        if (listener := self._listener) is not None:
            if self.launcher is not None:  # nobody else was told where
                listener.hide()
            listener.refuse_others()

    # -- what went wrong ------------------------------------------------------------------------------------

    def _told(self, error: BridgeError, start: float) -> BridgeError:
        waited = time.monotonic() - start
        if not isinstance(error, ConnectTimeout):
            phase = "handshake" if isinstance(error, HandshakeTimeout) else "connect"
            return explained(error, self.launcher, phase, waited)
        text = error.why
        if self.launcher is not None:
            text += f". It was told by TROPISM_BRIDGE_ADDR where to dial; {words(self.launcher)}"
        found = ConnectTimeout(error.address, error.attempts, waited, text)
        return explained(found, self.launcher, "connect", waited)
