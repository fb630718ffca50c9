"""The game under test: launched by a command, or dialled at an address; brought back when it is gone."""

from __future__ import annotations

import secrets
import shutil
import socket
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tropism.bridges.compliance.registry import Fail, Skip
from tropism.bridges.compliance.upgrade import sniff, upgrade
from tropism.bridges.errors import BridgeError
from tropism.bridges.launcher import Launcher
from tropism.bridges.transports.address import Address

RETURN = 3.0
"""Seconds a launched game that is still running has to dial again before it is launched anew."""


class Target(ABC):
    """Where connections to the game come from.

    Attributes:
        token: the secret that the game has, 64 hexadecimal digits; empty: none.
        session: the name of the session that the game was told; empty: none.
        we_dial: the game listens.
    """

    token: str
    session: str
    we_dial: bool
    stream = True
    """Whether bytes travel as a stream; over WebSocket whole messages do."""

    @abstractmethod
    def connect(self, patience: float) -> Any:
        """A fresh connection to the game: a socket, or what looks like one.

        Raises:
            Fail: there is none.
        """

    def use_token(self, token: str) -> None:
        """Let the game have another token, or none.

        Raises:
            Skip: we cannot choose its token.
        """
        if token != self.token:
            raise Skip("the token of a game that was not launched here cannot be changed")

    def died(self) -> str:
        """How the game crashed, if that can be seen; else empty."""
        return ""

    def close(self) -> None:  # noqa: B027  not every target has something to leave
        """Leave nothing behind."""


class Dialled(Target):
    """A game that listens at an address.

    Args:
        address: `tcp://`, `ws://` or `unix://`.
        token: its secret, 64 hexadecimal digits, or empty.
    """

    we_dial = True

    def __init__(self, address: str, token: str = "") -> None:
        self.address, self.token, self.session = Address.parse(address), token, ""
        self.stream = self.address.scheme != "ws"

    def connect(self, patience: float) -> Any:  # noqa: D102
        deadline = time.monotonic() + patience
        while True:
            try:
                return self._dial(patience)
            except OSError as error:
                if time.monotonic() > deadline:
                    raise Fail(f"a game listening at {self.address}", str(error)) from error
                time.sleep(0.05)

    def _dial(self, patience: float) -> Any:
        sock = socket.socket(self.address.family, socket.SOCK_STREAM)
        sock.settimeout(patience)
        try:
            sock.connect(self.address.target)
            return upgrade(sock, self.address)
        except BaseException:
            sock.close()
            raise


class Launched(Target):
    """A game that is started by a command and dials.

    Args:
        command: argument vector.
        transport: "tcp", "ws" or "unix": where we listen.
        patience: seconds from the start to its dialling.
    """

    we_dial = False

    def __init__(
        self, command: Sequence[str], transport: str = "tcp", patience: float = 30.0
    ) -> None:
        self.command, self.transport, self.patience = list(command), transport, patience
        self.stream = transport != "ws"
        self.token, self.session = secrets.token_hex(32), f"check-{secrets.token_hex(4)}"
        self.folder = tempfile.mkdtemp(prefix="tropism-check-")
        self.launcher: Launcher | None = None
        self.listener: socket.socket | None = None

    def connect(self, patience: float) -> Any:  # noqa: D102
        if self.launcher is not None:
            sock = self._accept(min(RETURN, patience))
            if sock is not None:
                return sock
        self._launch()
        sock = self._accept(self.patience)
        if sock is None:
            raise Fail(f"a game that dials within {self.patience:.0f} s", self._state())
        return sock

    def use_token(self, token: str) -> None:  # noqa: D102
        if token != self.token:
            self.token = token
            self.restart()

    def died(self) -> str:  # noqa: D102
        launcher = self.launcher
        if launcher is None or launcher.wait(0.05) is None or (launcher.returncode or 0) >= 0:
            return ""
        return f"{launcher.lost()}"

    def restart(self) -> None:
        """End the game; the next connection is one to a new process."""
        if self.launcher is not None:
            self.launcher.kill()
            self.launcher = None

    def close(self) -> None:  # noqa: D102
        self.restart()
        if self.listener is not None:
            self.listener.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _launch(self) -> None:
        self.restart()
        if self.listener is not None:  # so that no connection of the last process is left in it
            self.listener.close()
        self.listener, address = self._listen()
        self.launcher = Launcher(self.command)
        try:
            self.launcher.start(address, self.token, self.session)
        except BridgeError as error:
            raise Fail("a command that can be run", str(error)) from error

    def _listen(self) -> tuple[socket.socket, str]:
        if self.transport == "unix":
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            path = Path(self.folder) / f"{secrets.token_hex(4)}.sock"
            listener.bind(str(path))
            address = f"unix://{path}"
        else:
            listener = socket.create_server(("127.0.0.1", 0))
            address = f"{self.transport}://127.0.0.1:{listener.getsockname()[1]}"
        listener.listen()
        return listener, address

    def _accept(self, patience: float) -> Any:
        """The next connection that is one; None if the game does not dial, or has ended."""
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline and self.listener is not None:
            self.listener.settimeout(0.05)
            try:
                sock, _ = self.listener.accept()
            except TimeoutError:
                if self.launcher is None or not self.launcher.alive:
                    return None
                continue
            opened = sniff(sock, patience)
            if opened is not None:
                return opened
        return None

    def _state(self) -> str:
        """What can be said of a game that did not dial."""
        launcher = self.launcher
        if launcher is None:
            return "no game"
        tail = launcher.stderr_tail
        return f"none; {launcher.describe()}" + (f"; it said: {tail}" if tail else "")
