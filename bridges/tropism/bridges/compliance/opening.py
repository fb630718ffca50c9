"""The opening of a session, step by step, as an agent sees it: docs/bridge-protocol.md, sections 4 and 5."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from collections.abc import Sequence
from typing import Any, NamedTuple

from tropism.bridges.compliance.registry import Fail, expect
from tropism.bridges.compliance.wire import Frame, Wire
from tropism.bridges.protocol.header import Type

CAPS = ("call", "crc", "latest", "render", "seed", "shm", "zlib")
MAX_MESSAGE = 16_777_216


class Greeting(NamedTuple):
    """What both sides said in HELLO."""

    ours: dict[str, Any]
    theirs: dict[str, Any]


def our_hello(session: str = "", **changes: Any) -> dict[str, Any]:
    """A right HELLO of an agent, but for `changes`."""
    return {
        "proto": [1, 0],
        "min_major": 1,
        "role": "agent",
        "name": "tropism-check",
        "version": "1",
        "pid": os.getpid(),
        "caps": list(CAPS),
        "nonce": secrets.token_hex(32),
        "session": session,
        **changes,
    }


def greet(wire: Wire, we_dial: bool, **changes: Any) -> Greeting:
    """Exchange HELLO: the dialler first."""
    ours = our_hello(**changes)
    if we_dial:
        wire.send(Type.HELLO, ours)
        return Greeting(ours, wire.expect(Type.HELLO).json())
    theirs = wire.expect(Type.HELLO).json()
    wire.send(Type.HELLO, ours)
    return Greeting(ours, theirs)


def proof(token: str, role: str, greeting: Greeting) -> str:
    """The `mac` with which `role` proves that it knows the token."""
    nonces = f"{greeting.ours.get('nonce')}|{greeting.theirs.get('nonce')}"
    text = f"tropism-bridge-1|{role}|{nonces}".encode()
    return hmac.new(bytes.fromhex(token), text, hashlib.sha256).hexdigest()


def authenticate(wire: Wire, we_dial: bool, token: str, greeting: Greeting) -> None:
    """Exchange AUTH: the dialler first."""
    ours = {"mac": proof(token, "agent", greeting)}
    if we_dial:
        wire.send(Type.AUTH, ours)
    theirs = wire.expect(Type.AUTH).json()
    right = proof(token, "game", greeting)
    expect(theirs.get("mac") == right, "AUTH with the mac of the game", theirs)
    if not we_dial:
        wire.send(Type.AUTH, ours)


def granted(greeting: Greeting, asked: Sequence[str]) -> list[str]:
    """Those of the capabilities asked for that the game has too."""
    theirs = greeting.theirs.get("caps")
    return [cap for cap in asked if isinstance(theirs, list) and cap in theirs]


def welcome(
    wire: Wire, caps: Sequence[str], mode: str = "lockstep", session: str = "", **more: Any
) -> Frame:
    """Send WELCOME and receive SPEC."""
    body = {"caps": list(caps), "max_message": MAX_MESSAGE, "mode": mode, "session": session}
    wire.send(Type.WELCOME, {**body, **more})
    return wire.expect(Type.SPEC)


def ready(wire: Wire, spec: Frame) -> None:
    """Send READY with the hash of SPEC."""
    wire.send(Type.READY, {"spec": hashlib.sha256(spec.body).hexdigest()[:32]})


def key_of(hello: dict[str, Any], key: str, kind: type) -> Any:
    """A value of HELLO, which must be there and of a kind."""
    value = hello.get(key)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise Fail(f"{key} of type {kind.__name__} in HELLO", repr(value))
    return value
