"""WebSockets: the frames of RFC 6455 and the upgrade, without and with a listener."""

import itertools
import os
import socket
import struct
import threading

import pytest
from tests.bridges.test_listeners import is_closed, plain

from tropism.bridges.errors import (
    AuthError,
    BridgeError,
    ConnectTimeout,
    MessageTooLarge,
    ProtocolError,
)
from tropism.bridges.protocol.messages import encode
from tropism.bridges.transports import upgrade
from tropism.bridges.transports.dial import dial
from tropism.bridges.transports.listener import Listener
from tropism.bridges.transports.stream import put
from tropism.bridges.transports.websocket import WebSocketStream


def frame(payload: bytes, opcode=2, final=True, key=b"\x01\x02\x03\x04", rsv=0) -> bytes:
    """A frame as a client would send it, made by the letter of the standard."""
    first = bytes([final << 7 | rsv << 4 | opcode])
    mask = 128 if key else 0
    if len(payload) < 126:
        head = bytes([mask | len(payload)])
    elif len(payload) < 65536:
        head = bytes([mask | 126]) + struct.pack(">H", len(payload))
    else:
        head = bytes([mask | 127]) + struct.pack(">Q", len(payload))
    data = bytes(b ^ key[i % 4] for i, b in enumerate(payload)) if key else payload
    return first + head + key + data


def received(stream: WebSocketStream, wire: bytes, size: int = 1 << 20) -> list[bytes]:
    bodies = []
    for start in range(0, len(wire), size):
        put(stream, wire[start : start + size])
        while (message := stream.next()) is not None:
            bodies.append(bytes(message.body))
    return bodies


@pytest.mark.parametrize("size", [0, 1, 93, 94, 1000, 65_503, 65_504, 200_000])
@pytest.mark.parametrize("is_client", [True, False])
def test_what_one_side_frames_the_other_reads(size, is_client):
    body = os.urandom(size)
    sender, receiver = WebSocketStream(is_client), WebSocketStream(not is_client)
    message = encode(18, body)
    wire = b"".join(sender.frame(message[:32], body))
    assert received(receiver, wire * 2, 7777) == [body, body]
    assert receiver.progress() == ""
    assert (wire[1] >= 128) == is_client
    assert len(wire) - len(message) in ((6, 8, 14) if is_client else (2, 4, 10))


def test_frames_in_pieces_and_control_frames_between_them():
    message = encode(18, b"0123456789")
    wire = b"".join(
        (
            frame(message[:5], final=False),
            frame(b"alive?", opcode=9),
            frame(b"", opcode=0, final=False),
            frame(b"unasked", opcode=10),
            frame(message[5:], opcode=0),
        )
    )
    server = WebSocketStream(is_client=False)
    assert received(server, wire, 1) == [b"0123456789"]
    assert bytes(server.replies) == b"\x8a\x06alive?"


def test_a_close_frame_is_answered_and_ends_the_stream():
    server = WebSocketStream(is_client=False)
    assert received(server, frame(b"\x03\xe8bye", opcode=8) + frame(encode(18))) == []
    assert server.closed
    assert bytes(server.replies) == b"\x88\x02\x03\xe8"


@pytest.mark.parametrize(
    ("wire", "text"),
    [
        (frame(encode(18), key=b""), "masked"),
        (frame(encode(18), rsv=4), "reserved"),
        (frame(b"text", opcode=1), "kind 1"),
        (frame(encode(18), opcode=3), "kind 3"),
        (frame(b"", opcode=11), "unknown kind 11"),
        (frame(encode(18), opcode=0), "kind 0"),
        (frame(b"x", final=False) + frame(b"y"), "kind 2"),
        (frame(b"x" * 126, opcode=9), "control"),
        (frame(b"", opcode=9, final=False), "control"),
        (frame(b"x" * 31), "no header"),
        (frame(encode(18, b"abc")[:-1]), r"32 \+ 3"),
        (frame(encode(18) * 2), r"32 \+ 0"),
    ],
    ids=itertools.count(),  # the bytes hold the time, and every worker must name a test alike
)
def test_wrong_frames_are_protocol_errors(wire, text):
    with pytest.raises(ProtocolError, match=text):
        received(WebSocketStream(is_client=False), wire)


def test_lengths_are_bounded_before_anything_comes():
    server = WebSocketStream(is_client=False)
    server.max_message = 1000
    with pytest.raises(MessageTooLarge):
        received(server, frame(b"")[:1] + b"\xff" + struct.pack(">Q", 2**63))
    server = WebSocketStream(is_client=False)
    server.max_message = 1000
    with pytest.raises(MessageTooLarge):
        received(server, frame(bytes(600), final=False) + frame(bytes(600), opcode=0))


def ask(**changes) -> bytes:
    fields = {
        "Host": "localhost",
        "Upgrade": "websocket",
        "Connection": "keep-alive, Upgrade",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version": "13",
    }
    fields |= {name.replace("_", "-"): value for name, value in changes.items()}
    lines = [f"{name}: {value}" for name, value in fields.items() if value is not None]
    return "\r\n".join(("GET / HTTP/1.1", *lines)).encode()


def test_the_answer_is_that_of_the_standard():
    answer = upgrade.answer(ask(), ())
    assert answer.startswith(b"HTTP/1.1 101 ")
    assert b"\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in answer
    upgrade.check_answer(answer, "dGhlIHNhbXBsZSBub25jZQ==")
    with pytest.raises(ProtocolError, match="belong"):
        upgrade.check_answer(answer, "AAAAIHNhbXBsZSBub25jZQ==")


@pytest.mark.parametrize("origin", ["null", "https://evil.example", "https://good.example.evil"])
def test_a_page_in_a_browser_must_be_allowed_by_name(origin):
    allowed = frozenset(("https://good.example",))
    upgrade.answer(ask(Origin="https://good.example"), allowed)
    with pytest.raises(AuthError, match="origins="):
        upgrade.answer(ask(Origin=origin), allowed)
    with Listener(origins=allowed) as listener, plain(listener.address) as page:
        page.sendall(ask(Origin=origin) + upgrade.END)
        with pytest.raises(AuthError):
            listener.accept(5, strict=True)
        assert page.recv(4096).startswith(b"HTTP/1.1 403 ")
        assert is_closed(page)


@pytest.mark.parametrize(
    "head",
    [
        ask(Upgrade="h2c"),
        ask(Connection="close"),
        ask(Sec_WebSocket_Version="8"),
        ask(Sec_WebSocket_Key=None),
        ask().replace(b"GET / ", b"GET /chat "),
        b"GET / HTTP/1.0",
        b"GET \xff",
        b"GET " + b"x" * 9000,
    ],
)
def test_what_asks_for_no_websocket_is_refused(head):
    with Listener() as listener, plain(listener.address) as peer:
        peer.sendall(head + upgrade.END)
        with pytest.raises(ProtocolError, match=r"no client|no WebSocket"):
            listener.accept(5, strict=True)
        data = peer.recv(4096)
        assert data.startswith(b"HTTP/1.1 400 ") or not data


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", AuthError),
        (b"HTTP/1.1 200 OK\r\n\r\n", ConnectTimeout),
        (b"x" * 10_000, ConnectTimeout),
        (b"", ConnectTimeout),
    ],
    ids=["forbidden", "no upgrade", "no end", "nothing"],
)
def test_a_dialler_of_something_else_learns_it(reply, error):
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            sock, _ = server.accept()
            with sock:
                sock.recv(4096)
                sock.sendall(reply)

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(error) as caught:
            dial(f"ws://127.0.0.1:{server.getsockname()[1]}", 0.001 if not reply else 0.5)
        assert isinstance(caught.value, BridgeError)
        thread.join()
