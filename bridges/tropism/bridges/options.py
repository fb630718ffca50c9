"""How a game is reached and how long it is waited for: frozen, picklable, checked when made."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from tropism.bridges.launcher import Command
from tropism.bridges.protocol.header import MAX_MESSAGE
from tropism.bridges.transports.address import Address
from tropism.errors import OptionError, UnknownNameError

TRANSPORTS = ("auto", "shm", "tcp", "unix", "ws")
MODES = ("lockstep", "latest")


@dataclass(frozen=True)
class Deadlines:
    """Seconds after which waiting for a game becomes an error, for each phase.

    Attributes:
        connect: until a game that was launched has dialled, or one that listens has answered.
        handshake: for the opening of a session, once connected.
        reset: until the answer to RESET.
        step: until the answer to STEP, or until the next frame in latest-frame mode.
        close: for a launched game to end by itself once it was told to close.
    """

    connect: float = 30.0
    handshake: float = 5.0
    reset: float = 60.0
    step: float = 10.0
    close: float = 2.0

    def __post_init__(self) -> None:
        for spec in fields(self):
            value = getattr(self, spec.name)
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise OptionError(f"deadline {spec.name!r} must be seconds, got {value!r}")
            if not 0 < value < math.inf:
                raise OptionError(f"deadline {spec.name!r} must be finite and > 0, got {value!r}")

    @classmethod
    def of(cls, value: Deadlines | Mapping[str, float] | None) -> Deadlines:
        """Deadlines as a user may give them: some of them by name, the rest as they are by default.

        Raises:
            UnknownNameError: for a phase that does not exist.
            OptionError: for a time out of range.
        """
        if isinstance(value, Deadlines):
            return value
        known = [spec.name for spec in fields(cls)]
        for name in value or ():
            if name not in known:
                raise UnknownNameError("deadline", name, known)
        return cls(**(value or {}))


@dataclass(frozen=True)
class GameOptions:
    """Where a game is and how to speak with it.

    Exactly one of ``command`` (launch it; it dials us), ``address`` (it listens, we dial) and ``listen`` alone (somebody
    else starts it; it dials us).  With ``command``, ``listen`` fixes the address, which is otherwise chosen freely.

    Attributes:
        command: argument vector, or a function from the address to dial to one.
        address: such as ``tcp://127.0.0.1:5560``, ``ws://…`` or ``unix:///…``.
        listen: address of the same forms; port 0 and an empty path are chosen.
        transport: ``auto`` (TCP, upgraded to shared memory if the game can), ``shm`` (the same, or an error), ``tcp``,
            ``unix`` or ``ws`` (no upgrade).  With ``address`` or ``listen`` their scheme has the say over TCP, Unix or WebSocket.
        mode: ``lockstep`` or ``latest``.
        token: 64 hexadecimal digits; None: fresh ones for a game that is launched, none for others.
        deadlines: for each phase.
        origins: web pages that may connect by WebSocket, such as ``https://example.org``.
        crc: send checksums if the game can.
        zlib: compress large messages if the game can.
        max_message: longest body accepted, in bytes.
        copy: whether observations own their memory; else they are views that stay valid for two more steps.
        spin_us: microseconds to look for an answer before sleeping; None: 200 while a processor is idle and that pays, else 0.
        cwd: directory to launch in.
        env: further environment variables of a launched game.
        show_output: let a launched game write to our terminal.
        batch: let a launched game not interrupt others when it wakes up (Linux); a vector of several games does so.
    """

    command: Command | None = None
    address: str | None = None
    listen: str | None = None
    transport: str = "auto"
    mode: str = "lockstep"
    token: str | None = field(default=None, repr=False)
    deadlines: Deadlines = Deadlines()
    origins: tuple[str, ...] = ()
    crc: bool = False
    zlib: bool = False
    max_message: int = MAX_MESSAGE
    copy: bool = True
    spin_us: float | None = None
    cwd: str | None = None
    env: Mapping[str, str] | None = None
    show_output: bool = False
    batch: bool = False

    def __post_init__(self) -> None:
        _one_of("transport", self.transport, TRANSPORTS)
        _one_of("mode", self.mode, MODES)
        self._check_source()
        if self.token is not None and not _is_token(self.token):
            raise OptionError("token must be 64 hexadecimal digits")  # its value is a secret
        if isinstance(self.max_message, bool) or not 4096 <= self.max_message <= 2**31 - 1:
            raise OptionError(f"max_message must lie in [4096, 2^31), got {self.max_message!r}")

    def _check_source(self) -> None:
        """One way to the game, at an address that fits the transport."""
        if self.address is not None:
            if self.command is not None or self.listen is not None:
                raise OptionError("a game at an address is neither launched nor listened for")
        elif self.command is None and self.listen is None:
            raise OptionError(
                "say where the game is: command=[...], address='tcp://...' or listen='tcp://...'"
            )
        given = self.address if self.address is not None else self.listen
        if given is not None:
            self._check_scheme(Address.parse(given).scheme)

    def _check_scheme(self, scheme: str) -> None:
        wanted = self.transport
        if wanted in ("tcp", "unix", "ws") and wanted != scheme:
            raise OptionError(
                f"transport {wanted!r} does not fit the address, which is {scheme}://"
            )

    @property
    def listens_at(self) -> str:
        """The address to listen on."""
        if self.listen is not None:
            return self.listen
        schemes = {"unix": "unix://", "ws": "ws://127.0.0.1:0"}
        return schemes.get(self.transport, "tcp://127.0.0.1:0")

    @property
    def wants_shm(self) -> bool:
        """Whether shared memory is asked for, if the game can: it must be on this machine."""
        here = Address.parse(self.address or self.listens_at).is_loopback
        return self.transport == "shm" or (self.transport == "auto" and here)

    @property
    def caps(self) -> list[str]:
        """Capabilities that the agent shows."""
        asked = {
            "crc": self.crc,
            "zlib": self.zlib,
            "shm": self.wants_shm,
            "latest": self.mode == "latest",
        }
        return sorted(
            ["call", "render", "seed", *(name for name, wanted in asked.items() if wanted)]
        )

    def describe(self) -> str:
        """For people: how the game is reached."""
        if self.address is not None:
            return f"a game that listens at {self.address}"
        return f"a game that dials {self.listens_at}"


def _one_of(kind: str, name: Any, known: tuple[str, ...]) -> None:
    if name not in known:
        raise UnknownNameError(kind, str(name), known)


def _is_token(token: str) -> bool:
    return (
        isinstance(token, str) and len(token) == 64 and set(token) <= set("0123456789abcdefABCDEF")
    )


def game_options(
    command: Command | None = None,
    *,
    env_id: str | None = None,
    env_kwargs: Mapping[str, Any] | None = None,
    interpreter: str | None = None,
    fps: float = 60.0,
    render_mode: str | None = None,
    deadlines: Deadlines | Mapping[str, float] | None = None,
    **options: Any,
) -> GameOptions:
    """Options as the faces take them; ``env_id`` stands for the command that serves that environment.

    Raises:
        OptionError: something is out of range, contradicts itself or does not exist.
    """
    if env_id is not None:
        if command is not None:
            raise OptionError("give a command or an env_id, not both")
        kwargs = dict(env_kwargs or {})
        if render_mode is not None:
            kwargs.setdefault("render_mode", render_mode)
        command = [interpreter or sys.executable, "-m", "tropism.bridges.serve", env_id]
        command += ["--kwargs", json.dumps(kwargs)]
        if options.get("mode") == "latest":
            command += ["--fps", str(fps)]
    elif env_kwargs or interpreter:
        raise OptionError("env_kwargs and interpreter go with env_id")
    known = [spec.name for spec in fields(GameOptions)]
    for name in options:
        if name not in known:
            raise UnknownNameError("option of a game", name, known)
    return GameOptions(command=command, deadlines=Deadlines.of(deadlines), **options)
