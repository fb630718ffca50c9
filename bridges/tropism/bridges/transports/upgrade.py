"""The HTTP upgrade that opens a WebSocket, RFC 6455 section 4, from both sides."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Collection

from tropism.bridges.errors import AuthError, ProtocolError

END = b"\r\n\r\n"
LONGEST_HEAD = 8192
_MAGIC = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def request(host: str) -> tuple[bytes, str]:
    """An upgrade request for this host and port, and the key that its answer must prove to have read."""
    key = base64.b64encode(secrets.token_bytes(16)).decode()
    lines = (
        "GET / HTTP/1.1",
        f"Host: {host}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {key}",
        "Sec-WebSocket-Version: 13",
    )
    return "\r\n".join(lines).encode() + END, key


def answer(head: bytes, origins: Collection[str]) -> bytes:
    """The answer to a request that opens a WebSocket.

    Raises:
        AuthError: it comes from a page in a browser whose origin is not among these.
        ProtocolError: it is no valid upgrade request.
    """
    line, fields = _parse(head)
    _check_request(line, fields)
    origin = fields.get("origin")
    if origin is not None and origin not in origins:
        raise AuthError(f"a page of {origin} may not connect; allow it by origins=[{origin!r}]")
    lines = (
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {_proof(fields['sec-websocket-key'])}",
    )
    return "\r\n".join(lines).encode() + END


def refusal(error: Exception) -> bytes:
    """The HTTP answer that goes with an error of `answer`."""
    status = "403 Forbidden" if isinstance(error, AuthError) else "400 Bad Request"
    return f"HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: 0".encode() + END


def check_answer(head: bytes, key: str) -> None:
    """Check what a server answered.

    Raises:
        AuthError: it refuses, as it does to an origin that it does not know.
        ProtocolError: it does not open a WebSocket.
    """
    line, fields = _parse(head)
    if " 403 " in f"{line} ":
        raise AuthError(f"the listener refuses: {line}")
    if not line.startswith("HTTP/1.1 101"):
        raise ProtocolError(f"no WebSocket: {line[:80]}")
    if fields.get("sec-websocket-accept") != _proof(key):
        raise ProtocolError("no WebSocket: the answer does not belong to the request")


def _check_request(line: str, fields: dict[str, str]) -> None:
    words = line.split()
    if len(words) != 3 or words[0] != "GET" or words[1] != "/" or words[2] != "HTTP/1.1":
        raise ProtocolError(f"no WebSocket: {line[:80]}, expected GET / HTTP/1.1")
    if fields.get("upgrade", "").lower() != "websocket":
        raise ProtocolError("no WebSocket: no upgrade asked for")
    if "upgrade" not in fields.get("connection", "").lower():
        raise ProtocolError("no WebSocket: the connection is not to be upgraded")
    if fields.get("sec-websocket-version") != "13" or not fields.get("sec-websocket-key"):
        raise ProtocolError("no WebSocket: needs a key and version 13")


def _parse(head: bytes) -> tuple[str, dict[str, str]]:
    """The first line and the fields, by name in lower case."""
    line, *rest = head.decode("latin-1").split("\r\n")
    pairs = (field.partition(":") for field in rest if field)
    return line, {name.strip().lower(): value.strip() for name, _, value in pairs}


def _proof(key: str) -> str:
    return base64.b64encode(hashlib.sha1((key + _MAGIC).encode()).digest()).decode()
