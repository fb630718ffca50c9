"""Addresses, and what may be listened on."""

import os
import signal
import socket
import stat
import tempfile
import threading
import time
from pathlib import Path

import pytest

from tropism.bridges.errors import PortInUse
from tropism.bridges.transports import leftovers, places
from tropism.bridges.transports.address import Address
from tropism.bridges.transports.binding import LONGEST_PATH, is_own
from tropism.bridges.transports.dial import dial
from tropism.bridges.transports.listener import Listener
from tropism.errors import OptionError


@pytest.mark.parametrize(
    ("text", "loopback"),
    [
        ("tcp://127.0.0.1:40123", True),
        ("ws://127.0.0.1:0", True),
        ("tcp://localhost:1", True),
        ("tcp://[::1]:65535", True),
        ("tcp://0.0.0.0:80", False),
        ("tcp://[::]:80", False),
        ("ws://example.org:80", False),
        ("unix:///run/user/1000/tropism/x.sock", True),
        ("unix://", True),
    ],
)
def test_an_address_reads_as_it_is_written(text, loopback):
    address = Address.parse(text)
    assert str(address) == text
    assert address.is_loopback is loopback
    assert Address.parse(address) is address


@pytest.mark.parametrize(
    "text",
    [
        "",
        "127.0.0.1:80",
        "tcp://127.0.0.1",
        "tcp://127.0.0.1:65536",
        "tcp://:80",
        "http://a:1",
        "tcp://a b:1",
        "unix://relative",
        "unix:///a\0b",
        "tcp://::1:80",
        "tcp://a:80/path",
    ],
)
def test_what_is_no_address_is_refused_by_name(text):
    with pytest.raises(OptionError, match="address"):
        Address.parse(text)


@pytest.mark.parametrize("text", ["tcp://0.0.0.0:0", "ws://0.0.0.0:0"])
def test_others_are_only_served_with_a_token(text):
    with pytest.raises(OptionError, match="token"):
        Listener(text)
    with Listener(text, token="00" * 32) as listener:
        assert listener.address.port > 0


def test_a_taken_port_is_named():
    with Listener() as first, pytest.raises(PortInUse, match=str(first.address.port)):
        Listener(first.address)


def test_a_port_is_free_again_at_once():
    with Listener() as first:
        dial(first.address, 5).close()
    with Listener(first.address) as second:
        assert second.address == first.address


def test_a_unix_socket_is_private_and_leaves_nothing(tmp_path):
    path = tmp_path / "deep" / "er" / "x.sock"
    before = os.umask(0)
    try:
        listener = Listener(f"unix://{path}")
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    listener.close()
    assert not path.exists()
    with Listener("unix://") as chosen:
        directory = os.path.dirname(chosen.address.path)
        assert stat.S_IMODE(os.stat(directory).st_mode) == 0o700
    assert not os.path.exists(directory)


def test_what_a_dead_listener_left_is_replaced_and_a_live_one_is_not(tmp_path):
    path = tmp_path / "x.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with Listener(f"unix://{path}"), pytest.raises(PortInUse):
        Listener(f"unix://{path}")


@pytest.fixture
def home(monkeypatch):
    """Where temporary files go; short, for the sake of Unix sockets."""
    with tempfile.TemporaryDirectory() as home:
        monkeypatch.setattr(tempfile, "tempdir", home)
        yield Path(home)


def age(path):
    os.utime(path, (0, time.time() - leftovers.STALE_S - 1))


@pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_what_an_agent_that_was_killed_has_left_is_swept_by_the_next(home):
    child = os.fork()
    if child == 0:
        Listener("unix://")
        os.kill(os.getpid(), signal.SIGKILL)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    (left,) = home.iterdir()
    assert [path.name for path in left.iterdir()] == [places.SOCKET]
    with Listener("unix://"):
        assert left.exists()  # it is young: perhaps its owner is only of another container
    age(left)
    with Listener("unix://"):
        assert not left.exists()
    assert list(home.iterdir()) == []


def test_nothing_else_is_swept(home):
    dead = places.PREFIX + "9999999-"
    names = ["served", "full", "file", "link"]
    for name in names[:2]:
        (home / (dead + name)).mkdir()
    (home / (dead + "full") / "precious").touch()
    (home / (dead + "file")).touch()
    (home / (dead + "link")).symlink_to(home / (dead + "full"))
    (home / f"{places.PREFIX}x").mkdir()
    (home / f"{places.PREFIX}{os.getpid()}-alive").mkdir()
    with Listener(f"unix://{home}/{dead}served/{places.SOCKET}"):
        before = sorted(home.iterdir())
        for path in before:
            age(path)
        assert places.sweep(str(home)) == []
        assert sorted(home.iterdir()) == before


def test_no_file_is_overwritten_by_a_socket(tmp_path):
    path = tmp_path / "precious"
    path.write_text("x")
    with pytest.raises(OptionError, match="no socket"):
        Listener(f"unix://{path}")
    assert path.read_text() == "x"


def test_a_path_that_is_too_long_is_refused():
    with pytest.raises(OptionError, match=str(LONGEST_PATH)):
        Listener("unix:///" + "x" * LONGEST_PATH)


def test_the_user_of_a_peer_is_known(monkeypatch):
    left, right = socket.socketpair()
    with left, right:
        assert is_own(left)
        monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
        assert not is_own(left)


def test_another_user_is_turned_away(monkeypatch, tmp_path):
    monkeypatch.setattr("tropism.bridges.transports.binding.is_own", lambda sock: False)
    with Listener(f"unix://{tmp_path}/x.sock") as listener, socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(5)
        peer.connect(listener.address.path)
        closer = threading.Thread(target=listener.refuse_others)
        closer.start()
        closer.join()
        assert peer.recv(1) == b""
