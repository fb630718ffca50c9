"""ERROR messages: from an exception, and back to one on the other side."""

from __future__ import annotations

from tropism.bridges.errors import AuthError, BridgeError, PeerBusy, PeerError, VersionMismatch
from tropism.bridges.protocol.messages import Message, read_json, write_json

_BY_CODE = {"version": VersionMismatch, "auth": AuthError, "busy": PeerBusy}


def refusal(error: BridgeError) -> bytes:
    """The body of the ERROR that tells the peer what is wrong; about secrets it tells nothing."""
    text = "" if isinstance(error, AuthError) else str(error)
    return write_json({"code": getattr(error, "code", "internal"), "text": text, "detail": None})


def peer_error(message: Message) -> BridgeError:
    """The exception for an ERROR that the peer sent.

    Raises:
        ProtocolError: it is none.
    """
    body = read_json(message.body, message.type)
    code, text = str(body.get("code")), str(body.get("text", ""))
    if code in _BY_CODE:
        return _BY_CODE[code](f"the peer says: {text}" if text else f"the peer refuses: {code}")
    return PeerError(code, text, body.get("detail"))
