"""What a check plays with: connections to the game, and sessions opened as they should be."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from tropism.bridges.compliance import opening
from tropism.bridges.compliance.play import Play
from tropism.bridges.compliance.registry import Fail, Skip
from tropism.bridges.compliance.target import Target
from tropism.bridges.compliance.wire import PATIENCE, Wire
from tropism.bridges.errors import BridgeError
from tropism.bridges.protocol.header import Type
from tropism.bridges.protocol.spec import Spec

TURN = 0.02
"""Seconds that a listener gets to turn to the next agent."""
PLAIN = ("call", "render", "seed")
"""Capabilities granted unless a check asks for others."""


class Kit:
    """Hands out connections and sessions, and hangs them all up at the end of a check.

    Args:
        target: the game.
        patience: seconds within which an answer must come.
    """

    def __init__(self, target: Target, patience: float = PATIENCE) -> None:
        self.target, self.patience = target, patience
        self.note = ""
        self._wires: list[Wire] = []

    @property
    def we_dial(self) -> bool:
        """Whether the game listens."""
        return self.target.we_dial

    @property
    def token(self) -> str:
        """The secret of the game."""
        return self.target.token

    # --- connections -----------------------------------------------------------------------------

    def connect(self) -> Wire:
        """A fresh connection; nothing was sent or received on it."""
        self.hang_up()
        return self.connect_beside()

    def connect_beside(self) -> Wire:
        """A further connection, beside those that are open."""
        wire = Wire(self.target.connect(self.patience), self.patience)
        self._wires.append(wire)
        return wire

    def hang_up(self) -> None:
        """Close every connection, without a word."""
        used = bool(self._wires)
        while self._wires:
            self._wires.pop().close()
        if used and self.we_dial:
            time.sleep(TURN)

    # --- sessions --------------------------------------------------------------------------------

    def greet(self, wire: Wire, **changes: Any) -> opening.Greeting:
        """Exchange HELLO, ours with `changes`."""
        return opening.greet(wire, self.we_dial, session=self.target.session, **changes)

    def await_dialler(self, wire: Wire) -> None:
        """Read the HELLO of a game that dials; from here on it waits for ours."""
        if not self.we_dial:
            wire.expect(Type.HELLO)

    def say_hello(self, wire: Wire, **changes: Any) -> None:
        """Send HELLO in our turn, with `changes`, and do not wait for what comes."""
        self.await_dialler(wire)
        hello = opening.our_hello(**{"session": self.target.session, **changes})
        wire.send(Type.HELLO, hello)

    def greet_and_prove(self, wire: Wire, **changes: Any) -> opening.Greeting:
        """Exchange HELLO, and AUTH if the game has a token."""
        greeting = self.greet(wire, **changes)
        if self.token:
            opening.authenticate(wire, self.we_dial, self.token, greeting)
        return greeting

    def open(
        self,
        caps: Sequence[str] = (),
        *,
        mode: str = "lockstep",
        hello: dict[str, Any] | None = None,
        welcome: dict[str, Any] | None = None,
        ready: bool = True,
    ) -> Play:
        """A session opened as it should be.

        Args:
            caps: granted beside the plain ones, if the game has them.
            mode: "lockstep" or "latest".
            hello: changes to our HELLO.
            welcome: changes to our WELCOME.
            ready: whether READY is sent.
        """
        wire = self.connect()
        greeting = self.greet_and_prove(wire, **(hello or {}))
        given = opening.granted(greeting, (*PLAIN, *caps))
        if mode == "latest" and mode not in given:
            raise Skip("the game does not have the capability 'latest'")
        session = str(greeting.theirs.get("session") or "check")
        frame = opening.welcome(wire, given, mode, session, **(welcome or {}))
        try:
            spec = Spec.from_bytes(frame.body)
        except BridgeError as error:
            raise Fail("a SPEC as in section 7", str(error)) from error
        if ready:
            opening.ready(wire, frame)
        return Play(wire, greeting, given, spec, frame)

    def open_with(self, cap: str, **more: Any) -> Play:
        """A session in which a capability is granted.

        Raises:
            Skip: the game does not have it.
        """
        play = self.open((cap,), **more)
        if cap not in play.caps:
            raise Skip(f"the game does not have the capability {cap!r}")
        return play

    def begin(self, caps: Sequence[str] = (), seed: int | None = 0, **more: Any) -> Play:
        """A session after its first RESET."""
        play = self.open(caps, **more)
        play.reset(seed)
        return play

    def still_plays(self) -> None:
        """After something bad: a new session can be opened and played."""
        self.begin().step()
