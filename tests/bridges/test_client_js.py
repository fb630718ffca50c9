"""The JavaScript client, in node: its example plays the oracle's game over every transport, and refuses what is wrong."""

import http.client
import json
import re
import shutil
import socket
import struct
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.bridges import client_games as ask
from tests.bridges.c_games import PATIENCE, Agent, playing, waiting
from tests.bridges.client_games import STEPS, TOKEN
from tests.bridges.grid import play
from tests.bridges.test_websockets import frame, received
from tests.bridges.vectors import make

from tropism.bridges import errors
from tropism.bridges.protocol.header import Type
from tropism.bridges.protocol.messages import encode, write_json
from tropism.bridges.transports import upgrade
from tropism.bridges.transports.address import Address
from tropism.bridges.transports.dial import dial
from tropism.bridges.transports.hello import own_hello
from tropism.bridges.transports.websocket import WebSocketStream

CLIENT = ask.CLIENTS / "js"


def node():
    """The command of node, with a WebSocket where that is not yet a matter of course; None: no node."""
    found = shutil.which("node")
    if found is None:
        return None
    said = subprocess.run([found, "--version"], capture_output=True, text=True, check=True).stdout
    major = int(re.match(r"v(\d+)", said).group(1))
    flags = ("--experimental-websocket",) if major < 22 else ()
    return (found, *flags) if major >= 20 else None


NODE = node()
pytestmark = pytest.mark.skipif(
    NODE is None, reason="there is no `node` of version 20 or later here"
)
GRID = (*(NODE or ()), str(CLIENT / "example_grid.mjs"))


def script(name):
    """The command of a game that is there for these tests only."""
    return (
        *(NODE or ()),
        str(Path(__file__).parent / "js" / name),
        str(CLIENT / "tropism_bridge.mjs"),
    )


class TestExample(ask.Example):
    grid = GRID


def address_of(scheme, folder):
    return f"unix://{folder}/a.sock" if scheme == "unix" else f"{scheme}://127.0.0.1:0"


@pytest.fixture(scope="module")
def digest():
    with playing(*GRID) as agent:
        return play(agent, STEPS)


@pytest.mark.parametrize("scheme", ["unix", "ws"])
def test_every_transport_plays_the_same_game(scheme, tmp_path, digest):
    with playing(*GRID, address=address_of(scheme, tmp_path), token=TOKEN) as agent:
        assert play(agent, STEPS) == digest


@pytest.mark.parametrize("scheme", ["tcp", "unix", "ws"])
def test_a_listening_game_serves_one_agent_after_another(scheme, tmp_path, digest):
    with waiting(*GRID, address_of(scheme, tmp_path)) as (_, found):
        for steps in (100, STEPS):
            agent = Agent(dial(found, PATIENCE), dialled=True)
            with pytest.raises(errors.PeerBusy):
                Agent(dial(found, PATIENCE), dialled=True)
            said = play(agent, steps)
            agent.close()
        assert said == digest


def test_a_listening_game_goes_on_after_garbage_and_lost_agents(tmp_path):
    path = tmp_path / "a.sock"
    with waiting(*GRID, f"unix://{path}") as (_, found):
        assert path.stat().st_mode & 0o777 == 0o600
        for garbage in (b"GET / HTTP/1.1\r\n\r\n" + bytes(32), b"GBR1" + bytes(28), b"GB", b""):
            with socket.socket(socket.AF_UNIX) as sock:
                sock.connect(str(path))
                sock.sendall(garbage)
                sock.shutdown(socket.SHUT_WR)
                while sock.recv(4096):
                    pass
        lost = Agent(dial(found, PATIENCE), dialled=True)
        lost.reset(1)
        lost.connection.close()  # without CLOSE
        agent = next_agent(found)
        play(agent, 50)
        agent.close()


def next_agent(found):
    """An agent, once the game has noticed that the last one is gone."""
    while True:
        try:
            return Agent(dial(found, PATIENCE), dialled=True)
        except errors.PeerBusy:
            continue


def test_without_a_token_only_loopback_is_served():
    done = subprocess.run(
        [*GRID, "--listen", "tcp://0.0.0.0:0"],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 1
    assert "needs a token" in done.stderr


def test_the_golden_vectors_are_read_and_written_alike():
    assert int(ask.finished([*script("golden.mjs"), make.HERE])) >= 42


def test_a_live_game_of_two_agents_shows_what_was_done():
    with playing(*script("live.mjs"), mode="latest") as agent:
        ask.lives(agent)


def test_the_status_is_that_of_the_step():
    with playing(*script("fates.mjs")) as agent:
        ask.tells_the_status(agent)


# -- WebSockets, where the game listens ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def listening():
    """The address of a game that listens for WebSockets."""
    with waiting(*GRID, "ws://127.0.0.1:0") as (_, found):
        yield found


@contextmanager
def upgraded(address, *wire):
    """A bare socket that has asked for a WebSocket and sent this after it; yields all that it is told until it is closed."""
    where = Address.parse(address)
    with socket.create_connection((where.host, where.port), PATIENCE) as sock:
        sock.sendall(upgrade.request("x")[0] + b"".join(wire))
        sock.shutdown(socket.SHUT_WR)
        head, _, frames = b"".join(iter(lambda: sock.recv(4096), b"")).partition(upgrade.END)
        assert head.startswith(b"HTTP/1.1 101 ")
        yield frames


def greeting():
    facts = own_hello("agent", (), "", "bare", "1", False)
    return encode(Type.HELLO, write_json(facts))


WRONG_FRAMES = {
    "protocol-unmasked": frame(greeting(), key=b""),
    "protocol-reserved": frame(greeting(), rsv=1),
    "protocol-text": frame(greeting(), opcode=1),
    "protocol-kind": frame(b"", opcode=11),
    "protocol-continuation": frame(greeting(), opcode=0),
    "protocol-two": frame(greeting()[:40], final=False) + frame(greeting()[40:]),
    "protocol-ping": frame(bytes(126), opcode=9),
    "protocol-pieces": frame(b"", opcode=9, final=False),
    "protocol-half": frame(greeting()[:40]),
    "protocol-joined": frame(greeting() + b"G"),
    "too-large": b"\x82\xff" + struct.pack(">Q", 2**40),
    "too-large-in-pieces": frame(bytes(9), final=False)
    + b"\x80\xff"
    + struct.pack(">Q", 2**24 + 30),
}


@pytest.mark.parametrize("name", WRONG_FRAMES)
def test_what_is_no_message_in_a_websocket_is_refused(listening, name):
    with upgraded(listening, WRONG_FRAMES[name], bytes(8)) as told:
        *_, last = received(WebSocketStream(is_client=True), told)
        assert json.loads(last)["code"] == ask.code_of(name)


def test_messages_come_in_frames_of_any_size_with_signs_of_life_between_them(listening):
    hello = greeting()
    pieces = [hello[:1], b"", hello[1:33], hello[33:]]
    frames = [
        frame(piece, opcode=2 if i == 0 else 0, final=i == 3, key=bytes((i, 7, 0, 255)))
        for i, piece in enumerate(pieces)
    ]
    alive = frame(b"alive?", opcode=9) + frame(b"", opcode=10)
    with upgraded(listening, alive.join(frames)) as told:
        assert told.count(b"\x8a\x06alive?") == 3
        assert b'"role":"game"' in told
    with upgraded(listening, frame(b"\x03\xe8bye", opcode=8)) as told:
        assert told == b"\x88\x02\x03\xe8"


@pytest.mark.parametrize("size", [20, 200, 70_000])  # of which each has a length of its own kind
def test_long_messages_go_both_ways(listening, size):
    agent = next_agent(listening)
    text = "x" * size
    agent.connection.send(Type.CALL, write_json({"id": 1, "name": "echo", "args": text}))
    assert json.loads(bytes(agent.receive(Type.REPLY).body))["result"] == text
    agent.close()


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"Origin": "http://evil.example"}, 403),
        ({"Upgrade": "h2c"}, 400),
        ({"Sec-WebSocket-Version": "12"}, 400),
        ({"Sec-WebSocket-Key": ""}, 400),
    ],
)
def test_a_page_must_be_allowed_by_name_and_ask_rightly(listening, changes, status):
    where = Address.parse(listening)
    connection = http.client.HTTPConnection(where.host, where.port, timeout=PATIENCE)
    fields = dict(line.split(": ") for line in upgrade.request("x")[0].decode().split("\r\n")[1:-2])
    connection.request("GET", "/", headers=fields | changes)
    assert connection.getresponse().status == status
    connection.close()
