"""Rows 12, 16 to 19 and 21 of the matrix: peers that cannot be agreed with, and what both sides are told.

All are to be told within a second of the peer's first word; the start of a game's process is not in it.
"""

import contextlib
import json
import logging
import os
import random
import subprocess
import time
from contextlib import ExitStack

import numpy as np
import pytest
from gymnasium import spaces
from tests.bridges.c_games import CLIENT, build, needs_cc, waiting
from tests.bridges.faults.bare_game import LIMIT, MISDEEDS, act
from tests.bridges.faults.games import BARE, make
from tests.bridges.pairs import ADDRESSES, both
from tests.bridges.traces import PATIENT, eventually, is_running

from tropism.bridges.env import BridgeEnv
from tropism.bridges.errors import (
    BadMagic,
    ConnectionLost,
    ConnectTimeout,
    EndianMismatch,
    PeerBusy,
    SpecMismatch,
    VersionMismatch,
)
from tropism.bridges.game import AgentSpec, Game, Spec
from tropism.bridges.protocol.header import Type
from tropism.bridges.protocol.messages import write_json
from tropism.bridges.transports.dial import dial
from tropism.bridges.transports.handshake import open_game
from tropism.bridges.transports.listener import Listener

SECOND = 1.0
BUSY = 2.0
"""What a second may last on a busy machine."""
SPEC = Spec("other", [AgentSpec("a", spaces.Discrete(2), spaces.Discrete(2))])


@pytest.fixture(params=["tcp", "unix", "ws"])
def wire(request):
    return request.param


@pytest.fixture
def run():
    """Starts bare games that nobody has launched; they are killed in the end."""
    made = []

    def start(*arguments, address="", token=""):
        told = {"TROPISM_BRIDGE_ADDR": address, "TROPISM_BRIDGE_TOKEN": token}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        made.append(subprocess.Popen([*BARE, *arguments], env={**os.environ, **told}, **pipes))
        return made[-1]

    yield start
    for game in made:
        game.kill()
        game.communicate()


@pytest.fixture
def closing():
    """Closes what is given to it when the test is over."""
    with ExitStack() as stack:
        yield lambda thing: stack.enter_context(contextlib.closing(thing))


# --- row 12 ---------------------------------------------------------------------------------------


def test_row_12_random_bytes_are_refused_and_the_next_is_let_in(play, wire):
    env = play("--first", "garbage", transport=wire)
    assert env.step(act("play"))[0]["x"][0] == 1
    assert eventually(
        lambda: "refused after" in env.session.stderr_tail
    )  # side by side: it may be told later
    assert float(env.session.stderr_tail.split()[2]) < BUSY


def test_row_12_the_refusal_has_its_class_and_the_listener_goes_on(wire):
    garbage = b"\x99" + random.Random(12).randbytes(4095)
    with Listener(ADDRESSES[wire]) as listener:

        def strange():
            first = dial(str(listener.address).replace("ws://", "tcp://"), 5)
            first._sock.send(garbage)
            with pytest.raises(ConnectionLost):
                first.receive(BUSY)  # it is closed, not left hanging
            first.close()
            second = dial(listener.address, 5)
            second.send(Type.HELLO, b"{}")
            return second

        came, right = both(lambda: listener.accept(10), strange)
        assert came.receive(5).type == Type.HELLO
        assert [type(error) for error in listener.refused] == [BadMagic]
        came.close()
        right.close()


def test_row_12_game_that_is_none_is_told_with_its_end():
    with pytest.raises(BadMagic, match="no client: it begins with 99") as caught:
        make("--first", "garbage", "--only")
    assert "ended with 0" in caught.value.__notes__[0]


def test_row_12_nobody_else_comes(run):
    env = BridgeEnv(
        listen="tcp://127.0.0.1:0", connect=False, deadlines={**PATIENT, "connect": SECOND}
    )
    run("--first", "garbage", "--only", address=env.session.address)
    with pytest.raises(ConnectTimeout, match="refused: no client: it begins with 99"):
        env.connect()


# --- rows 16 to 18 --------------------------------------------------------------------------------

FUTURE = json.dumps({"proto": [3, 4], "min_major": 2})


def test_row_16_other_major_version_is_named_on_both_sides(run, wire):
    """Both texts name both versions."""
    env = BridgeEnv(listen=ADDRESSES[wire], connect=False, deadlines=PATIENT)
    game = run("--hello", FUTURE, address=env.session.address)
    with pytest.raises(VersionMismatch) as caught:
        env.connect()
    _, said = game.communicate(timeout=20)
    assert game.returncode != 0
    assert '"code":"version"' in said
    for text in (str(caught.value), said):
        assert "1.0 (from 1)" in text
        assert "3.4 (from 2)" in text


def test_row_16_launched_game_of_another_version(transport):
    with pytest.raises(VersionMismatch, match=r"1\.0 .* 3\.4") as caught:
        make("--hello", FUTURE, transport=transport)
    assert "bare_game.py" in caught.value.__notes__[0]
    assert caught.value.facts["phase"] == "connect"


def test_row_16_agent_of_another_version_is_named_on_both_sides(wire, closing):
    with Listener(ADDRESSES[wire]) as listener:

        def agent():
            connection = closing(listener.accept(10))
            connection.receive(5)
            hello = {
                "proto": [3, 4],
                "min_major": 2,
                "role": "agent",
                "name": "",
                "nonce": "0" * 64,
            }
            connection.send(Type.HELLO, write_json({**hello, "caps": []}))
            connection.receive(5)

        start = time.monotonic()
        with Game(SPEC, address=str(listener.address)) as game:
            heard, caught = both(agent, lambda: game.next_request(20))
        assert time.monotonic() - start < BUSY
        for error in (heard, caught):
            assert isinstance(error, VersionMismatch)
            assert "1.0 (from 1)" in str(error)
            assert "3.4 (from 2)" in str(error)


def test_row_17_newer_minor_version_with_more_capabilities(play, transport, caplog):
    caps = ["seed", "shm", "telepathy"]
    with caplog.at_level(logging.INFO, "tropism.bridges"):
        env = play("--hello", json.dumps({"proto": [1, 7], "caps": caps}), transport=transport)
    assert env.session.peer["proto"] == [1, 7]
    assert env.session.caps == {"seed"} | ({"shm"} if transport == "shm" else set())
    assert env.step(act("play"))[0]["x"][0] == 1
    assert f"'bare', which speaks 1.7: {sorted(env.session.caps)}" in caplog.text


def test_row_18_wrong_byte_order_is_named(wire):
    start = time.monotonic()
    with pytest.raises(EndianMismatch, match="big-endian") as caught:
        make("--first", "swapped", "--only", transport=wire)
    assert time.monotonic() - start < SECOND + BUSY
    assert "wrong byte order" in caught.value.__notes__[0]  # the game was told the same


def test_row_18_wrong_byte_order_of_a_game_that_listens(closing):
    with Listener(ADDRESSES["tcp"]) as listener:

        def swapped():
            connection = closing(listener.accept(10))
            connection._sock.send(b"1RBG" + bytes(28))
            connection.receive(5)

        options = {"address": str(listener.address), "deadlines": PATIENT}
        _, caught = both(swapped, lambda: BridgeEnv(**options))
        assert isinstance(caught, EndianMismatch)


# --- row 19 ---------------------------------------------------------------------------------------


def box(size=3, kind=np.float32, high=LIMIT):
    return spaces.Dict({"x": spaces.Box(0, high, (size,), kind)})


@pytest.mark.parametrize(
    ("observation", "action", "path"),
    [
        (box(size=4), None, "agents[0].obs.x"),
        (box(kind=np.float64), None, "agents[0].obs.x"),
        (box(high=1.0), None, "agents[0].obs.x"),
        (spaces.Dict({"y": box()["x"]}), None, "agents[0].obs"),
        (None, spaces.Discrete(2), "agents[0].act"),
    ],
    ids=["shape", "dtype", "bounds", "keys", "action"],
)
def test_row_19_spaces_that_were_not_expected(observation, action, path):
    env = make(connect=False, observation_space=observation, action_space=action)
    pid = env.session.game_pid
    with pytest.raises(SpecMismatch) as caught:
        env.connect()
    assert caught.value.path == path
    assert str(caught.value.expected) in str(caught.value)
    assert str(caught.value.got) in str(caught.value)
    assert not is_running(pid)


def test_row_19_spaces_that_were_expected(transport):
    expected = {"observation_space": box(), "action_space": spaces.Discrete(len(MISDEEDS))}
    make(transport=transport, **expected).close()


def test_row_19_game_that_comes_back_as_another(on_fault):
    """A fault is endured, another game is not."""
    sizes = iter((3, 4, 3))
    env = BridgeEnv(
        lambda _: [*BARE, "--size", str(next(sizes))], on_fault=on_fault, deadlines=PATIENT
    )
    try:
        env.reset(seed=1)
        os.kill(env.session.game_pid, 9)
        if on_fault == "raise":
            with pytest.raises(Exception, match="SIGKILL"):
                env.step(act("play"))
        else:
            assert env.step(act("play"))[3]
        with pytest.raises(
            SpecMismatch, match=r"agents\[0\]\.obs\.x: expected .*\(3,\).*, got .*\(4,\)"
        ):
            env.reset()
        env.reset()
    finally:
        env.close()


# --- row 21 ---------------------------------------------------------------------------------------


def test_row_21_second_game_is_told_that_the_agent_is_busy(play, wire, tmp_path):
    address = (
        f"unix://{tmp_path}/x" if wire == "unix" else ADDRESSES[wire]
    )  # a chosen path would be hidden
    env = play(transport=wire, listen=address)
    env.step(act("play"))
    seq, address = env.session.seq, str(env.session.address)
    for _ in range(3):
        start = time.monotonic()
        other = dial(address, 5)
        with pytest.raises(PeerBusy):
            open_game(other, SPEC, dialled=True)
        assert time.monotonic() - start < BUSY
        other.close()
        assert env.step(act("play"))[4]["bridge"]["step"] == env.session.seq - 1
    assert env.session.seq == seq + 3


@needs_cc
def test_row_21_second_agent_is_told_that_the_game_is_busy():
    deadlines = {**PATIENT, "connect": SECOND}
    with waiting(build(CLIENT / "example_grid.c"), "tcp://127.0.0.1:0") as (_, address):
        first = BridgeEnv(address=address, deadlines=deadlines)
        first.reset(seed=5)
        before, start = first.step(0), time.monotonic()
        with pytest.raises(PeerBusy):
            BridgeEnv(address=address, deadlines=deadlines)
        assert time.monotonic() - start < SECOND
        after = first.step(0)
        assert after[4]["bridge"]["step"] == before[4]["bridge"]["step"] + 1
        assert first.session.seq == 3
        first.close()
