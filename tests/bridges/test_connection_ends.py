import os
import random
import socket
import struct
import threading
import time

import pytest
from tests.bridges.pairs import SOCKETS, TRANSPORTS, connected, raw_peer, session

from tropism.bridges.errors import (
    AuthError,
    BadMagic,
    BridgeClosed,
    BridgeTimeout,
    ConnectionLost,
    EndianMismatch,
    MessageTooLarge,
    PeerBusy,
    PeerError,
    ProtocolError,
    UnsupportedMessage,
    VersionMismatch,
)
from tropism.bridges.protocol.header import HEADER, MAGIC, Type
from tropism.bridges.protocol.messages import Decoder, encode, read_json, write_json


@pytest.mark.parametrize(
    ("wire", "text"),
    [
        (b"", "end of the connection"),
        (encode(Type.OBS, b"abc")[:10], "EOF inside header, 10/32 bytes"),
        (encode(Type.OBS, bytes(500))[:132], "EOF inside body of OBS, 100/500 bytes"),
        (encode(Type.OBS, bytes(500_000))[:132], "EOF inside body of OBS, 100/500000 bytes"),
    ],
    ids=["between", "header", "body", "large body"],
)
def test_the_end_says_where_it_was(wire, text):
    with raw_peer() as (connection, peer):
        peer.send(wire)
        peer.close()
        with pytest.raises((ConnectionLost, ProtocolError), match=text) as caught:
            connection.receive(5)
        assert isinstance(caught.value, ProtocolError) == bool(wire)


def header(**changes) -> bytes:
    fields = {"magic": MAGIC, "type": 18, "flags": 0, "stream": 0, "length": 0, "seq": 0}
    fields |= {"time": 0, "episode": 0, "crc": 0}
    return HEADER.pack(*(fields | changes).values())


@pytest.mark.parametrize(
    ("wire", "error", "code"),
    [
        (random.Random(1).randbytes(4096), BadMagic, "protocol"),
        (header(magic=MAGIC[::-1]), EndianMismatch, "protocol"),
        (header(length=0xFFFFFFFF), MessageTooLarge, "too-large"),
        (header(flags=16), ProtocolError, "protocol"),
        (header(flags=2), ProtocolError, "protocol"),
        (header(flags=8), ProtocolError, "protocol"),
        (header(stream=1), ProtocolError, "protocol"),
        (header(type=99, flags=1), UnsupportedMessage, "unsupported"),
        (encode(Type.PING, bytes(65)), ProtocolError, "protocol"),
    ],
    ids=["garbage", "endian", "length", "flag", "crc", "shm", "stream", "unknown", "ping"],
)
def test_what_breaks_the_protocol_is_answered_and_ends_the_connection(wire, error, code):
    with raw_peer() as (connection, peer):
        peer.send(wire)
        with pytest.raises(error):
            connection.receive(5)
        assert connection.closed
        decoder = Decoder()
        while data := peer.recv(4096):
            decoder.feed(data)
        message = decoder.next()
        assert message.type == Type.ERROR
        assert read_json(message.body, message.type)["code"] == code


def test_an_error_that_is_none_is_a_protocol_error():
    with raw_peer() as (connection, peer):
        peer.send(encode(Type.ERROR, b"no JSON"))
        with pytest.raises(ProtocolError, match="JSON"):
            connection.receive(5)


def test_garbage_after_good_messages_does_not_hide_them():
    with raw_peer() as (connection, peer):
        peer.send(encode(Type.OBS, b"good") + b"garbage" * 10)
        assert connection.receive(5).body == b"good"
        with pytest.raises(BadMagic):
            connection.receive(5)
        with pytest.raises(BridgeClosed):
            connection.receive(5)


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("version", VersionMismatch),
        ("auth", AuthError),
        ("busy", PeerBusy),
        ("action", PeerError),
        ("whatever", PeerError),
    ],
)
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_an_error_of_the_peer_has_its_class(transport, code, error):
    with session(transport) as (agent, game):
        game.send(Type.ERROR, write_json({"code": code, "text": "why", "detail": [1]}))
        with pytest.raises(error, match="why") as caught:
            agent.receive(5)
        if error is PeerError:
            assert (caught.value.code, caught.value.detail) == (code, [1])


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_close_comes_through_and_then_the_end(transport):
    with session(transport) as (agent, game):
        game.close("enough")
        message = agent.receive(5)
        assert message.type == Type.CLOSE
        assert read_json(message.body, message.type) == {"reason": "enough"}
        with pytest.raises(ConnectionLost):
            agent.receive(5)
        game.close("again")
        for use in (lambda: game.send(Type.EVENT, b"{}"), lambda: game.receive(1), game.take):
            with pytest.raises(BridgeClosed):
                use()


@pytest.mark.parametrize("transport", SOCKETS)
def test_who_sends_to_a_peer_that_refused_learns_why(transport):
    with session(transport) as (agent, game):
        game.refuse(PeerError("action", "no such action"))

        def send_on():
            deadline = time.monotonic() + 10
            while time.monotonic() < deadline:
                agent.send(Type.STEP, bytes(1000))

        with pytest.raises(PeerError, match="no such action"):
            send_on()


@pytest.mark.parametrize("transport", SOCKETS)
def test_a_peer_that_does_not_read_costs_no_byte(transport):
    bodies = [bytes([i]) * 400_000 for i in range(30)]
    with connected(transport) as (near, far):
        far.send_timeout = 0.01
        late = []
        for seq, body in enumerate(bodies):
            try:
                far.send(Type.OBS, body, seq)
            except BridgeTimeout as error:
                late.append(error.phase)
        assert set(late) == {"send"}
        assert not far.can_send()
        received = []
        while len(received) < len(bodies):
            far.can_send()  # flushes what is left
            message = near.take()
            if message is not None:
                received.append(bytes(message.body))
        assert received == bodies
        assert far.can_send()


def test_a_flood_does_not_keep_the_receiver_beyond_its_time():
    with raw_peer() as (connection, peer):
        stop = threading.Event()

        def flood():
            peer.settimeout(0.05)
            data = encode(Type.BELL) * 1000
            while not stop.is_set():
                try:
                    peer.sendall(data)
                except OSError:
                    return

        thread = threading.Thread(target=flood)
        thread.start()
        start = time.monotonic()
        with pytest.raises(BridgeTimeout):
            connection.receive(0.2)
        assert time.monotonic() - start < 5
        assert connection.take() is None  # returns, though there is always more
        stop.set()
        thread.join()


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_the_end_of_a_watched_process_ends_the_wait(transport):
    reader, writer = os.pipe()
    with session(transport) as (agent, game):
        agent.watch(reader)
        game.send(Type.EVENT, b"{}")
        os.close(writer)
        assert agent.receive(5).type == Type.EVENT  # what it said last is not lost
        with pytest.raises(ConnectionLost, match="process"):
            agent.receive(5)
        agent.watch(None)
        with pytest.raises(BridgeTimeout):
            agent.receive(0.0)
    os.close(reader)


def test_a_reset_connection_is_a_lost_one():
    with connected("tcp") as (near, far):
        linger = struct.pack("ii", 1, 0)
        far._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        far._sock.close()
        with pytest.raises(ConnectionLost):
            near.receive(5)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_message_put_back_is_received_again(transport):
    with session(transport) as (agent, game):
        game.send(Type.EVENT, b'{"a":1}')
        message = agent.receive(5)
        agent.unread(message)
        assert agent.receive(5) == message


@pytest.mark.filterwarnings(
    "ignore:os.fork:RuntimeWarning"
)  # of JAX, if another test has loaded it
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_forked_child_cannot_end_the_session_of_its_parent(transport):
    with session(transport) as (agent, game):
        pid = os.fork()
        if pid == 0:
            agent.close("I am the child")
            os._exit(0)
        os.waitpid(pid, 0)
        game.send(Type.EVENT, b"{}")
        assert agent.receive(5).type == Type.EVENT


def test_pings_of_a_peer_that_is_gone_are_read_to_the_last_message():
    with raw_peer() as (connection, peer):
        peer.sendall(encode(Type.PING, b"x") * 1500 + encode(Type.EVENT, b"{}"))
        peer.close()
        with pytest.raises(ConnectionLost):
            connection.receive(5)
        assert connection.receive(5).type == Type.EVENT


def test_a_whole_message_longer_than_agreed_is_refused():
    with raw_peer() as (connection, peer):
        connection.max_message = 100
        peer.send(encode(Type.OBS, b"x" * 101, 1, 1))
        with pytest.raises(MessageTooLarge):
            connection.receive(5)
