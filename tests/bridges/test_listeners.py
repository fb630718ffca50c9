"""Listeners and diallers: nobody holds a listener up, and everybody is told why it does not work."""

import errno
import os
import random
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.bridges.pairs import ADDRESSES, SOCKETS, both

from tropism.bridges.errors import (
    BadMagic,
    BridgeClosed,
    BridgeError,
    ConnectionLost,
    ConnectTimeout,
    EndianMismatch,
    PeerBusy,
    UnexpectedMessage,
)
from tropism.bridges.protocol.header import HEADER, Type
from tropism.bridges.protocol.messages import encode
from tropism.bridges.transports import lobby, upgrade
from tropism.bridges.transports.dial import dial
from tropism.bridges.transports.listener import PENDING, Listener


def plain(address) -> socket.socket:
    """A bare socket connected to a listener."""
    sock = socket.socket(address.family)
    sock.settimeout(10)
    sock.connect(address.target)
    return sock


def hello(address):
    connection = dial(address, 10)
    connection.send(Type.HELLO, b"{}")
    return connection


def is_closed(sock: socket.socket) -> bool:
    try:
        while sock.recv(4096):
            pass
    except ConnectionError:
        pass
    return True


@pytest.fixture(params=SOCKETS)
def listener(request):
    with Listener(ADDRESSES[request.param]) as listener:
        yield listener


def test_a_hello_is_the_first_message_of_what_is_accepted(listener):
    near, far = both(lambda: listener.accept(5), lambda: hello(listener.address))
    assert near.receive(0).type == Type.HELLO
    near.close()
    far.close()


def test_garbage_is_refused_and_the_next_peer_served(listener):
    with plain(listener.address) as stranger:
        stranger.sendall(random.Random(1).randbytes(4096))
        near, far = both(lambda: listener.accept(5), lambda: hello(listener.address))
        assert near.receive(0).type == Type.HELLO
        assert is_closed(stranger)
    assert isinstance(listener.refused[0], BadMagic)
    near.close()
    far.close()


@pytest.mark.parametrize(
    ("wire", "error"),
    [
        (b"nonsense", BadMagic),
        (HEADER.pack(b"1RBG", 1, 0, 0, 0, 0, 0, 0, 0), EndianMismatch),
        (encode(Type.RESET, b"{}"), UnexpectedMessage),
        (b"", ConnectionLost),
    ],
    ids=["garbage", "endian", "no hello", "nothing"],
)
def test_where_one_peer_is_expected_its_mistake_is_raised(listener, wire, error):
    with plain(listener.address) as stranger:
        stranger.sendall(wire)
        stranger.shutdown(socket.SHUT_WR)
        with pytest.raises(error):
            listener.accept(10, strict=True)
        assert is_closed(stranger)


def test_a_listener_to_whom_nobody_comes_says_who_was_refused(listener):
    with pytest.raises(ConnectTimeout, match="nobody connected") as caught:
        listener.accept(0.01)
    assert caught.value.address == str(listener.address)
    with plain(listener.address) as stranger:
        stranger.sendall(b"garbage")
        with pytest.raises(ConnectTimeout, match="67 61 72 62"):
            listener.accept(0.5)


def test_the_end_of_the_game_ends_the_wait(listener):
    reader, writer = os.pipe()
    os.close(writer)
    with pytest.raises(ConnectionLost, match="ended"):
        listener.accept(10, watch=reader)
    os.close(reader)


def test_silent_peers_do_not_keep_a_client_out(listener):
    silent = [plain(listener.address) for _ in range(60)]
    start = time.monotonic()
    near, far = both(lambda: listener.accept(10), lambda: hello(listener.address))
    assert near.receive(0).type == Type.HELLO
    assert time.monotonic() - start < 5
    assert len(listener._candidates) <= PENDING
    for peer in (near, far, *silent):
        peer.close()


def test_a_peer_may_speak_up_while_it_is_dropped_to_make_room(listener):
    silent = [plain(listener.address) for _ in range(PENDING)]
    while len(listener._candidates) < PENDING:
        with pytest.raises(ConnectTimeout):
            listener.accept(0.0)
    silent[0].send(b"GBR1")  # the oldest
    one_more = plain(listener.address)
    near, far = both(lambda: listener.accept(10), lambda: hello(listener.address))
    assert near.receive(0).type == Type.HELLO
    for peer in (near, far, one_more, *silent):
        peer.close()


@pytest.mark.parametrize("kind", ["raw", "WebSocket"])
def test_a_peer_that_lets_us_answer_and_does_not_read_holds_nobody_up(listener, kind):
    if kind == "raw":
        flood = encode(Type.PING, bytes(64)) * 1000
    else:
        flood = b"\x89\xfd\0\0\0\0" + bytes(125)
        flood *= 1000
    stop = threading.Event()

    def send():
        if kind == "WebSocket":
            sock.sendall(upgrade.request("x")[0])
        try:
            while not stop.is_set():
                sock.sendall(flood)
        except OSError:
            pass

    with plain(listener.address) as sock:
        thread = threading.Thread(target=send)
        thread.start()
        with pytest.raises(BridgeError) as refused:
            listener.accept(30, strict=True)
        assert not isinstance(refused.value, ConnectTimeout)
        assert is_closed(sock)
        near, far = both(lambda: listener.accept(5), lambda: hello(listener.address))
        assert near.receive(0).type == Type.HELLO
        stop.set()
        thread.join()
        near.close()
        far.close()


def test_a_silent_peer_has_a_limited_time(listener, monkeypatch):
    monkeypatch.setattr(lobby, "PATIENCE", 0.1)
    with plain(listener.address) as silent, plain(listener.address) as slow:
        slow.send(b"GBR1\x01")
        with pytest.raises(ConnectTimeout, match="no HELLO"):
            listener.accept(1.0)
        assert is_closed(silent)
        assert is_closed(slow)


def test_others_are_told_that_a_session_is_under_way(listener):
    near, far = both(lambda: listener.accept(5), lambda: hello(listener.address))
    near.receive(0)
    listener.refuse_others()
    listener.refuse_others()
    for _ in range(3):
        with plain(listener.address) as silent:
            silent.send(b"GB")
            other = hello(listener.address)
            with pytest.raises(PeerBusy):
                other.receive(5)
            other.close()
    near.send(Type.EVENT, b"{}")
    assert far.receive(5).type == Type.EVENT
    near.close()
    far.close()
    again = both(lambda: listener.accept(5), lambda: hello(listener.address))
    assert again[0].receive(0).type == Type.HELLO
    for peer in again:
        peer.close()


def test_a_closed_listener_is_closed(listener):
    listener.refuse_others()
    listener.close()
    listener.close()
    with pytest.raises(BridgeClosed):
        listener.accept(1)
    with pytest.raises(ConnectTimeout, match="1 attempt") as caught:
        dial(listener.address, 0.005)
    assert caught.value.attempts == 1


def test_a_dialler_waits_for_its_listener(tmp_path):
    address = f"unix://{tmp_path}/x.sock"
    with ThreadPoolExecutor(1) as pool:
        dialled = pool.submit(hello, address)
        with pytest.raises(ConnectTimeout):
            dial(address, 0.1)  # time enough for the other to have tried, too
        with Listener(address) as listener:
            near = listener.accept(10)
        far = dialled.result(10)
    near.close()
    far.close()


def test_nobody_listens():
    with Listener() as listener:
        address = listener.address
    start = time.monotonic()
    with pytest.raises(ConnectTimeout, match=str(address)) as caught:
        dial(address, 0.2)
    assert caught.value.attempts > 1
    assert time.monotonic() - start < 5


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="counts in /proc")
def test_no_descriptor_is_left():
    before = len(os.listdir("/proc/self/fd"))
    for scheme in SOCKETS:
        with Listener(ADDRESSES[scheme]) as listener:
            near, far = both(lambda: listener.accept(5), lambda: hello(listener.address))
            listener.refuse_others()
            with plain(listener.address) as silent:
                silent.send(b"GB")
            near.close()
            far.close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_listener_without_a_descriptor_left_serves_the_peer_later(listener):
    class Scarce:
        def __init__(self, sock):
            self.sock, self.failures = sock, 3

        def accept(self):
            self.failures -= 1
            if self.failures >= 0:
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
            return self.sock.accept()

        def __getattr__(self, name):
            return getattr(self.sock, name)

    listener._bound._sock = Scarce(listener._bound._sock)
    near, far = both(lambda: listener.accept(5), lambda: hello(listener.address))
    assert near.receive(0).type == Type.HELLO
    assert listener._bound._sock.failures < 0
    near.close()
    far.close()
