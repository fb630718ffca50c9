"""The JavaScript client, in node: its example plays the oracle's game over every transport, and refuses what is wrong."""

import re
import shutil
import socket
import subprocess
from pathlib import Path

import pytest
from tests.bridges import client_games as ask
from tests.bridges.c_games import PATIENCE, Agent, playing, waiting
from tests.bridges.client_games import STEPS, TOKEN
from tests.bridges.grid import play
from tests.bridges.vectors import make

from tropism.bridges import errors
from tropism.bridges.transports.dial import dial

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


@pytest.mark.parametrize("scheme", ["tcp", "unix"])
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
