"""The opening of a session, from HELLO to READY, for both roles: docs/bridge-protocol.md, section 4."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from tropism.bridges.errors import ProtocolError, SpecMismatch, UnsupportedMessage
from tropism.bridges.protocol.header import MAX_MESSAGE, Type
from tropism.bridges.protocol.jsons import is_count
from tropism.bridges.protocol.messages import Message, read_json, write_json
from tropism.bridges.protocol.spec import Spec
from tropism.bridges.transports import hello
from tropism.bridges.transports.connection import Connection
from tropism.bridges.transports.opening import Opening, Steps, waiting
from tropism.errors import OptionError

HANDSHAKE_TIMEOUT = 5.0
MODES = ("lockstep", "latest")
ALL_CAPS = frozenset(("call", "crc", "latest", "render", "seed", "shm", "zlib"))
"""Every capability of the protocol; a game offers those it really has."""
AGENT_CAPS = ALL_CAPS - {"crc", "zlib"}
"""What an agent asks for by default: checksums and compression cost more than they give on one machine."""


@dataclass(frozen=True)
class Agreement:
    """What two peers have agreed upon.

    Attributes:
        spec: the game.
        caps: what both can do.
        mode: "lockstep" or "latest".
        session: the name of the session.
        max_message: the longest body, in bytes.
        major: version of the protocol.
        peer: the HELLO of the other side; `peer.facts` has its name, version and pid.
        deadline: when the opening has to be over, in seconds of the monotonic clock.
    """

    spec: Spec
    caps: frozenset[str]
    mode: str
    session: str
    max_message: int
    major: int
    peer: hello.Hello
    deadline: float

    @property
    def time_left(self) -> float:
        """Seconds left for the rest of the opening."""
        return max(self.deadline - time.monotonic(), 0.0)


def agent_steps(
    connection: Connection,
    *,
    dialled: bool,
    token: str | bytes | None = None,
    caps: Collection[str] = AGENT_CAPS,
    mode: str = "lockstep",
    session: str = "",
    max_message: int = MAX_MESSAGE,
    timeout: float = HANDSHAKE_TIMEOUT,
    name: str = "tropism",
    version: str = "",
) -> Steps[Agreement]:
    """Open a session as the agent, up to and including SPEC; `ready` ends it.

    `open_agent` waits for each message; a listener takes the steps of several openings in turn.

    Args:
        connection: a new one.
        dialled: whether this side has dialled.
        token: the secret, 64 hexadecimal digits or 32 bytes; None: none.
        caps: what this side can do and wants.
        mode: "lockstep" or "latest".
        session: name of the session.
        max_message: the longest body, in bytes.
        timeout: seconds for everything.
        name: of this program.
        version: of this program.

    Raises:
        HandshakeTimeout: the game was too slow.
        VersionMismatch: no common version.
        AuthError: one of the sides does not know the secret.
        PeerBusy: the game has an agent already.
        SpecMismatch: the specification is none.
        ProtocolError: the game broke the protocol, or cannot do `mode`.
        ConnectionLost: the game is gone.
        PeerError: the game said ERROR.
    """
    if mode not in MODES:
        raise OptionError(f"mode: expected one of {MODES}, got {mode!r}")
    opening = Opening(connection, "agent", dialled, hello.secret(token), timeout)
    with opening.refusing():
        peer, major = yield from opening.greet(caps, session, name, version)
        common = frozenset(caps) & peer.caps
        if mode == "latest" and "latest" not in common:
            raise UnsupportedMessage("the game cannot run in latest-frame mode")
        welcome = {
            "caps": sorted(common),
            "max_message": max_message,
            "mode": mode,
            "session": session,
        }
        opening.send(Type.WELCOME, welcome)
        opening.use(common, max_message)
        message = yield from opening.awaited(Type.SPEC)
        spec = Spec.from_bytes(message.body, max_message)
    return Agreement(spec, common, mode, session, max_message, major, peer, opening.deadline)


open_agent = waiting(agent_steps)


def ready(connection: Connection, agreement: Agreement) -> None:
    """End the opening as the agent: the game will wait for requests."""
    connection.send(Type.READY, write_json({"spec": agreement.spec.hash_hex}))


def game_steps(
    connection: Connection,
    spec: Spec,
    *,
    dialled: bool,
    token: str | bytes | None = None,
    caps: Collection[str] = ALL_CAPS,
    session: str = "",
    timeout: float = HANDSHAKE_TIMEOUT,
    name: str = "game",
    version: str = "",
) -> Steps[Agreement]:
    """Open a session as the game, up to and including SPEC; `ready_steps` end it.

    `open_game` waits for each message. Arguments and errors are those of `agent_steps`.
    """
    opening = Opening(connection, "game", dialled, hello.secret(token), timeout)
    with opening.refusing():
        peer, major = yield from opening.greet(caps, session, name, version)
        message = yield from opening.awaited(Type.WELCOME)
        welcome = read_json(message.body, Type.WELCOME)
        common, max_message, mode, named = _read_welcome(welcome, frozenset(caps))
        opening.use(common, max_message)
        yield from opening.sent(Type.SPEC, spec.to_bytes())
    return Agreement(spec, common, mode, named, max_message, major, peer, opening.deadline)


open_game = waiting(game_steps)


def ready_steps(connection: Connection, agreement: Agreement) -> Steps[Message | None]:
    """Wait as the game for READY; `expect_ready` does it with nothing else to do.

    Returns:
        None, or an SHM_OFFER that came first; answer it and wait again.

    Raises:
        SpecMismatch: the agent has read another specification.
        BridgeError: as `open_agent`.
    """
    opening = Opening(connection, "game", False, None, agreement.time_left)
    with opening.refusing():
        message = yield from opening.awaited(Type.READY, Type.SHM_OFFER)
        if message.type == Type.SHM_OFFER:
            return message
        theirs = read_json(message.body, Type.READY).get("spec")
        if theirs != agreement.spec.hash_hex:
            raise SpecMismatch("hash", agreement.spec.hash_hex, theirs)
    return None


expect_ready = waiting(ready_steps)


def _read_welcome(
    welcome: dict[str, Any], caps: frozenset[str]
) -> tuple[frozenset[str], int, str, str]:
    granted, length = welcome.get("caps"), welcome.get("max_message")
    mode, session = welcome.get("mode"), welcome.get("session", "")
    if not isinstance(granted, list) or not all(isinstance(cap, str) for cap in granted):
        raise ProtocolError("WELCOME: `caps` must be a list of strings")
    if not is_count(length) or not isinstance(length, int) or not 0 < length < 2**32:
        raise ProtocolError("WELCOME: `max_message` must be an integer from 1 to 2^32 - 1")
    if mode not in MODES or not isinstance(session, str):
        raise ProtocolError(f"WELCOME: `mode` must be one of {MODES} and `session` a string")
    if mode == "latest" and "latest" not in caps:
        raise UnsupportedMessage("WELCOME: this game cannot run in latest-frame mode")
    return frozenset(granted) & caps, length, mode, session
