"""HELLO and AUTH: who the peers are and what both can do (docs/bridge-protocol.md, sections 4 and 5)."""

from __future__ import annotations

import hmac
import os
import re
import secrets
from collections.abc import Collection
from typing import Any, NamedTuple

from tropism.bridges.errors import AuthError, ProtocolError, VersionMismatch
from tropism.bridges.protocol.header import Type
from tropism.bridges.protocol.messages import read_json
from tropism.errors import OptionError

VERSION = (1, 0)
MIN_MAJOR = 1
_NONCE = re.compile("[0-9a-f]{64}")


class Hello(NamedTuple):
    """A HELLO that was checked.

    Attributes:
        role: "agent" or "game".
        proto: major and minor version spoken.
        min_major: the least major version still spoken.
        caps: what the peer can do.
        nonce: 64 hexadecimal digits.
        session: the name of the session it was told, or "".
        has_token: whether it has a secret; None if it does not say.
        facts: everything as it was sent: also `name`, `version` and `pid` of the peer.
    """

    role: str
    proto: tuple[int, int]
    min_major: int
    caps: frozenset[str]
    nonce: str
    session: str
    has_token: bool | None
    facts: dict[str, Any]


def new_token() -> str:
    """A fresh secret: 64 hexadecimal digits."""
    return secrets.token_hex(32)


def secret(token: str | bytes | None) -> bytes | None:
    """The 32 bytes of a token given as such or in hexadecimal digits; None if there is none.

    Raises:
        OptionError: it is neither.
    """
    if not token:
        return None
    try:
        raw = bytes.fromhex(token) if isinstance(token, str) else bytes(token)
    except ValueError:
        raw = b""
    if len(raw) != 32:
        raise OptionError(
            "token: expected 64 hexadecimal digits (32 bytes); make one by new_token()"
        )
    return raw


def own_hello(
    role: str, caps: Collection[str], session: str, name: str, version: str, has_token: bool
) -> dict[str, Any]:
    """The body of the HELLO of this side, with a fresh nonce."""
    return {
        "proto": list(VERSION),
        "min_major": MIN_MAJOR,
        "role": role,
        "name": name,
        "version": version,
        "pid": os.getpid(),
        "caps": sorted(caps),
        "nonce": secrets.token_hex(32),
        "session": session,
        "auth": has_token,
    }


def read_hello(body: bytes | bytearray | memoryview) -> Hello:
    """Read the body of HELLO.

    Raises:
        ProtocolError: it is not what the protocol says.
    """
    facts = read_json(body, Type.HELLO)
    proto, caps = facts.get("proto", []), facts.get("caps", [])
    if not _is_list_of(proto, int, 2) or not _is_list_of(caps, str):
        raise ProtocolError("HELLO: needs `proto`, two integers, and `caps`, a list of strings")
    nonce, session = facts.get("nonce"), facts.get("session", "")
    if not isinstance(nonce, str) or not _NONCE.fullmatch(nonce):
        raise ProtocolError("HELLO: `nonce` must be 64 lower-case hexadecimal digits")
    least, auth = facts.get("min_major", proto[0]), facts.get("auth")
    if not isinstance(least, int) or not isinstance(session, str):
        raise ProtocolError("HELLO: `min_major` must be an integer and `session` a string")
    has_token = auth if isinstance(auth, bool) else None
    role = str(facts.get("role"))
    return Hello(
        role, (proto[0], proto[1]), least, frozenset(caps), nonce, session, has_token, facts
    )


def check_version(theirs: Hello) -> int:
    """The major version to speak.

    Raises:
        VersionMismatch: there is none that both speak.
    """
    major = theirs.proto[0]
    if major < MIN_MAJOR or VERSION[0] < theirs.min_major:
        here = f"{VERSION[0]}.{VERSION[1]} (from {MIN_MAJOR})"
        there = f"{major}.{theirs.proto[1]} (from {theirs.min_major})"
        raise VersionMismatch(f"this side speaks protocol {here}, the peer {there}")
    return min(major, VERSION[0])


def proof(token: bytes, role: str, agent_nonce: str, game_nonce: str) -> str:
    """What the peer of this role has to answer to prove that it knows the token."""
    text = f"tropism-bridge-1|{role}|{agent_nonce}|{game_nonce}"
    return hmac.new(token, text.encode(), "sha256").hexdigest()


def check_proof(body: bytes | bytearray | memoryview, expected: str) -> None:
    """Check the body of AUTH, in constant time.

    Raises:
        AuthError: the peer does not know the token.
    """
    mac = read_json(body, Type.AUTH).get("mac")
    if not isinstance(mac, str) or not hmac.compare_digest(mac.encode(), expected.encode()):
        raise AuthError("the peer does not know the token")


def _is_list_of(value: object, kind: type, length: int | None = None) -> bool:
    if not isinstance(value, list) or (length is not None and len(value) != length):
        return False
    return all(isinstance(item, kind) and not isinstance(item, bool) for item in value)
