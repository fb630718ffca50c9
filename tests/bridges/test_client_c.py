"""The C client: it compiles everywhere it may, plays what the oracle plays, and fails as it should."""

import secrets
import shutil
import signal
import socket
import subprocess
import time

import pytest
from tests.bridges.c_games import (
    CLIENT,
    HERE,
    PATIENCE,
    SANITIZED,
    Agent,
    build,
    needs_cc,
    playing,
    running,
    waiting,
)
from tests.bridges.grid import play

from tropism.bridges import errors
from tropism.bridges.protocol.header import Type, pack_header
from tropism.bridges.protocol.messages import read_json, write_json
from tropism.bridges.transports.connection import Connection
from tropism.bridges.transports.dial import dial

pytestmark = needs_cc
GRID = CLIENT / "example_grid.c"
STEPS = 10_000


@pytest.fixture(scope="module")
def grid():
    return build(GRID, *SANITIZED)


@pytest.mark.parametrize(
    "flags",
    [
        (),
        ("-O2",),
        ("-std=gnu99",),
        ("-std=c11", "-O3", "-Wshadow", "-Wconversion"),
        ("-std=c11", "-DTROPISM_BRIDGE_C11_ATOMICS"),
        ("-DTROPISM_BRIDGE_NO_SHM",),
    ],
    ids=" ".join,
)
def test_it_compiles_without_a_warning_and_plays(flags):
    shared = "-DTROPISM_BRIDGE_NO_SHM" not in flags
    with playing(build(GRID, *flags), shared=shared) as agent:
        assert ("shm" in agent.facts.caps) == shared
        play(agent, 300)


def test_the_game_of_the_readme_plays(tmp_path):
    source = tmp_path / "line.c"
    readme = (CLIENT / "README.md").read_text(encoding="utf-8")
    source.write_text(readme.split("```c\n")[1].split("```")[0], encoding="utf-8")
    with playing(build(source, *SANITIZED)) as agent:
        agent.reset()
        seen = [agent.frames.decode(agent.step(1)).agents[0] for _ in range(10)]
        assert [one.observation.tolist() for one in seen] == [[n] for n in range(1, 11)]
        assert [one.reward for one in seen] == [0] * 9 + [1]
        assert [one.terminated for one in seen] == [False] * 9 + [True]


@pytest.mark.skipif(shutil.which("c++") is None, reason="there is no C++ compiler `c++` here")
def test_its_declarations_serve_cplusplus(tmp_path):
    source = tmp_path / "game.cpp"
    source.write_text(
        '#include "tropism_bridge.h"\nint main() { return tb_error(nullptr) == nullptr; }'
    )
    flags = ["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only"]
    subprocess.run(["c++", *flags, f"-I{CLIENT}", str(source)], check=True)


@pytest.fixture(scope="module")
def digest(grid):
    with playing(grid) as agent:
        return play(agent, STEPS)


@pytest.mark.parametrize(("scheme", "shared"), [("unix", False), ("tcp", True), ("unix", True)])
def test_every_transport_plays_the_same_game(grid, digest, tmp_path, scheme, shared):
    address = f"unix://{tmp_path}/game.sock" if scheme == "unix" else "tcp://127.0.0.1:0"
    token = secrets.token_hex(32)
    with playing(grid, address=address, token=token, shared=shared) as agent:
        assert play(agent, STEPS) == digest


def test_checksums_go_both_ways():
    golden = build(HERE / "golden.c", *SANITIZED)
    caps = {"crc", "call"}
    with playing(golden, "vector", caps=caps) as agent:
        assert agent.connection.crc
        message = _told_of_reset(agent)
        assert message.type == Type.OBS


def _told_of_reset(agent):
    agent.episode += 1
    agent.send(Type.RESET, write_json({"seed": 3, "options": None}))
    seen = read_json(agent.receive(Type.EVENT).body, Type.EVENT)["data"]
    assert seen == {"type": 16, "seq": 1, "episode": 1, "seed": 3, "json": None}
    return agent.receive()


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:0", "unix"])
def test_a_listening_game_serves_one_agent_after_another(grid, tmp_path, address):
    address = f"unix://{tmp_path}/g.sock" if address == "unix" else address
    with waiting(grid, address) as (_, found):
        for shared in (False, True):
            agent = Agent(dial(found, PATIENCE), dialled=True, shared=shared)
            play(agent, 300)
            agent.close()


def test_a_listening_game_goes_on_after_garbage_and_lost_agents(grid):
    with waiting(grid, "tcp://127.0.0.1:0") as (process, found):
        host, port = found.removeprefix("tcp://").split(":")
        for rubbish in (b"GET / HTTP/1.1\r\n\r\n" + b" " * 40, b"GBR1" + bytes(28), b"GB"):
            with socket.create_connection((host, int(port)), PATIENCE) as sock:
                sock.sendall(rubbish)
                sock.shutdown(socket.SHUT_WR)
                while sock.recv(4096):
                    pass
        agent = Agent(dial(found, PATIENCE), dialled=True)
        agent.reset(1)
        agent.connection.close()  # without CLOSE
        agent = Agent(dial(found, PATIENCE), dialled=True)
        play(agent, 50)
        agent.close()
        assert process.poll() is None


@pytest.mark.parametrize("shared", [False, True])
def test_in_latest_frame_mode_frames_come_by_themselves_and_show_the_newest_action(shared):
    live = build(HERE / "live.c", *SANITIZED)
    with playing(live, mode="latest", shared=shared) as agent:
        last = 0
        for episode in (1, 2):
            agent.ask_reset(seed=1)
            message = agent.receive(Type.OBS)
            while message.episode < episode:  # frames of the old one may still come
                last, message = message.seq, agent.receive(Type.OBS)
            seen = agent.frames.decode(message.body)
            assert shared or (message.seq, seen.step) == (last + 1, 0)
            for action in (3, 4):
                agent.send(Type.ACTION, agent.actions.encode([action]))
                while seen.applied < agent.seq:
                    last, message = message.seq, agent.receive(Type.OBS)
                    seen = agent.frames.decode(message.body)
                    assert message.seq == last + 1 or (shared and message.seq > last)
                assert seen.agents[0].observation.tolist() == [seen.step, action]
            last = message.seq


def test_a_game_that_waits_for_its_agent_refuses_latest_frame_mode(grid):
    with running(grid) as (_, listener), pytest.raises(errors.BridgeError, match="latest"):
        Agent(listener.accept(PATIENCE), mode="latest")


def test_a_second_agent_is_told_that_the_game_is_busy(grid):
    with waiting(grid, "tcp://127.0.0.1:0") as (_, found):
        first = Agent(dial(found, PATIENCE), dialled=True)
        for _ in range(2):
            with pytest.raises(errors.PeerBusy):
                Agent(dial(found, PATIENCE), dialled=True)
        play(first, 100)
        first.close()


def test_a_stale_socket_file_is_replaced_and_nobody_else_may_connect(grid, tmp_path):
    path = tmp_path / "g.sock"
    for _ in range(2):  # the first one is killed and leaves its file
        with waiting(grid, f"unix://{path}") as (_, found):
            assert found == f"unix://{path}"
            assert path.stat().st_mode & 0o777 == 0o600


def test_without_a_token_only_loopback_is_served(grid):
    with waiting(grid, "tcp://0.0.0.0:0") as (process, found):
        assert found == ""
        assert process.wait(PATIENCE) == 1
        assert "only loopback" in process.stderr.read()


@pytest.mark.parametrize("ours", [None, "cd" * 32])
def test_an_agent_with_another_secret_is_refused(grid, ours):
    with running(grid, token="ab" * 32) as (process, listener):
        with pytest.raises((errors.AuthError, errors.PeerError)):
            Agent(listener.accept(PATIENCE), token=ours)
        assert process.wait(PATIENCE) == 1
        said = process.stderr.read()
        assert "secret" in said or "auth" in said or "token" in said


def test_a_segmentation_fault_is_a_lost_connection_and_a_signal():
    with running(build(HERE / "crash.c", "-O1")) as (process, listener):
        agent = Agent(listener.accept(PATIENCE))
        agent.reset()
        agent.step(0)
        with pytest.raises(errors.ConnectionLost):
            agent.step(1)
        agent.close()
        assert process.wait(PATIENCE) == -signal.SIGSEGV
        assert process.stderr.read() == "about to fall\n"


def test_a_crash_is_noticed_in_shared_memory_too():
    with running(build(HERE / "crash.c", "-O1")) as (process, listener):
        agent = Agent(listener.accept(PATIENCE), shared=True)
        agent.reset()
        with pytest.raises(errors.ConnectionLost):
            agent.step(2)
        agent.close()
        assert process.wait(PATIENCE) == 7


def test_an_agent_that_dies_in_shared_memory_is_noticed(grid):
    with running(grid) as (process, listener):
        agent = Agent(listener.accept(PATIENCE), shared=True)
        agent.reset()
        began = time.monotonic()
        agent.connection.close()
        assert process.wait(PATIENCE) == 1
        assert time.monotonic() - began < 5.0
        assert "the agent is gone" in process.stderr.read()


def test_a_game_that_finds_no_agent_says_so(grid):
    command = [grid]
    done = subprocess.run(command, capture_output=True, text=True, env={}, timeout=PATIENCE)
    assert done.returncode == 1
    assert "TROPISM_BRIDGE_ADDR" in done.stderr


def hello(**changes):
    facts = {
        "proto": [1, 0], "min_major": 1, "role": "agent", "name": "", "version": "", "pid": 1,
        "caps": ["shm"], "nonce": "0" * 64, "session": "", **changes,
    }  # fmt: skip
    body = write_json(facts)
    return pack_header(Type.HELLO, len(body)) + body


def last_words(connection):
    """The code of the ERROR that ends it."""
    try:
        while True:
            connection.receive(PATIENCE)
    except errors.BridgeError as error:
        return getattr(error, "code", "")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"proto": [3, 0], "min_major": 2}, "version"),
        ({"role": "game"}, "protocol"),
        ({"nonce": "00"}, "protocol"),
        ({"auth": True}, "auth"),
        ({"proto": 1}, "protocol"),
    ],
)
def test_a_wrong_hello_is_answered_by_an_error(grid, changes, code):
    with waiting(grid, "tcp://127.0.0.1:0") as (_, found):
        host, port = found.removeprefix("tcp://").split(":")
        sock = socket.create_connection((host, int(port)), PATIENCE)
        sock.sendall(hello(**changes))
        connection = Connection(sock)
        assert last_words(connection) == code
        connection.close()


def test_a_later_major_that_still_speaks_ours_is_welcome(grid):
    with waiting(grid, "tcp://127.0.0.1:0") as (_, found):
        host, port = found.removeprefix("tcp://").split(":")
        sock = socket.create_connection((host, int(port)), PATIENCE)
        sock.sendall(hello(proto=[2, 5], min_major=1))
        connection = Connection(sock)
        facts = read_json(connection.receive(PATIENCE).body, Type.HELLO)
        assert (facts["proto"], facts["role"], facts["name"]) == ([1, 0], "game", "grid")
        assert set(facts["caps"]) == {"crc", "seed", "shm"}
        connection.close()
