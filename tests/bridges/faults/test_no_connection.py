"""Rows 22 to 24 of the fault matrix: the address is taken, the other side is late, or it never comes."""

import os
import re
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import gymnasium
import pytest
from tests.bridges.faults.games import BARE, make
from tests.bridges.traces import AT_ONCE, PATIENT, TRANSPORTS, descriptors, is_running

from tropism.bridges.env import BridgeEnv
from tropism.bridges.errors import ConnectTimeout, PortInUse
from tropism.bridges.serve import Server
from tropism.bridges.transports.listener import Listener

SOCKETS = ("tcp", "unix", "ws")
SHORT_S = 0.6


def free_address(transport, directory):
    """An address nobody listens at."""
    if transport == "unix":
        return f"unix://{directory}/game.sock"
    with Listener(f"{'ws' if transport == 'ws' else 'tcp'}://127.0.0.1:0") as listener:
        return str(listener.address)


@contextmanager
def cartpole(delay=0.0, **where):
    """CartPole as a game in a thread, from now on or later, until its agent is gone."""

    def run():
        time.sleep(delay)
        with Server(gymnasium.make("CartPole-v1"), on_agent_lost="exit", **where) as server:
            server.run()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        thread.join(60)
    assert not thread.is_alive()


@pytest.mark.parametrize("transport", SOCKETS)
def test_row_22_an_address_that_is_taken_is_named_and_no_game_is_started(transport, tmp_path):
    started = tmp_path / "started"
    command = [sys.executable, "-I", "-S", "-c", f"open({str(started)!r}, 'w')"]
    with Listener(free_address(transport, tmp_path)) as taken:
        before, start = descriptors(), time.monotonic()
        with pytest.raises(PortInUse, match=re.escape(str(taken.address))) as caught:
            BridgeEnv(command, listen=str(taken.address))
        assert caught.value.pid == os.getpid()
        assert f"process {os.getpid()} ({caught.value.program}) listens there" in str(caught.value)
        assert time.monotonic() - start < 1.0 + AT_ONCE
        assert descriptors() == before
    env = make(transport=transport, listen=str(taken.address))
    assert env.session.address == str(taken.address)
    env.close()
    assert not started.exists()


def test_row_22_without_a_fixed_address_every_game_has_its_own(play, transport):
    first, second = play(transport=transport), play(transport=transport)
    assert first.session.address != second.session.address
    for env in (first, second):
        assert env.step(0)[4]["bridge"]["step"] == 1


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_row_23_a_game_that_listens_too_late_is_found(transport, tmp_path):
    where = free_address(transport, tmp_path)
    with cartpole(delay=0.2, listen=where):
        env = BridgeEnv(address=where, transport=transport, deadlines=PATIENT)
        assert env.session.transport == transport
        env.reset(seed=1)
        assert env.step(0)[4]["bridge"]["step"] == 1
        env.close()


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_row_23_a_game_that_dials_too_early_finds_its_agent(transport, tmp_path):
    where = free_address(transport, tmp_path)
    with cartpole(address=where):
        time.sleep(0.2)
        env = BridgeEnv(listen=where, transport=transport, deadlines=PATIENT)
        env.reset(seed=1)
        assert env.step(0)[4]["bridge"]["step"] == 1
        env.close()


@pytest.mark.parametrize("transport", SOCKETS)
def test_row_23_nobody_listens_at_all(transport, tmp_path):
    where, before = free_address(transport, tmp_path), descriptors()
    start = time.monotonic()
    with pytest.raises(ConnectTimeout, match=re.escape(where)) as caught:
        BridgeEnv(address=where, deadlines={"connect": SHORT_S})
    assert time.monotonic() - start < SHORT_S + AT_ONCE
    assert caught.value.address == where
    assert caught.value.attempts > 2
    assert descriptors() == before


def test_row_24_a_game_without_the_bridge_is_explained(transport):
    script = (
        "import os, time; os.write(2, b'no bridge in here'); print(os.getpid()); time.sleep(60)"
    )
    command = [sys.executable, "-I", "-S", "-c", script]
    before, start = descriptors(), time.monotonic()
    with pytest.raises(ConnectTimeout) as caught:
        BridgeEnv(command, transport=transport, deadlines={"connect": SHORT_S})
    assert SHORT_S <= time.monotonic() - start < SHORT_S + 2 * AT_ONCE
    text = str(caught.value)
    scheme = {"shm": "tcp"}.get(transport, transport)
    for part in (
        f"{scheme}://",
        "TROPISM_BRIDGE_ADDR",
        "no bridge in here",
        "is running",
        *command,
    ):
        assert part in text
    assert text.count("nothing came within") == 1
    assert not is_running(int(re.search(r"pid (\d+)", text)[1]))
    assert descriptors() == before


def test_row_24_a_game_that_is_given_up_can_be_tried_by_hand(tmp_path):
    """What the error says is enough to start the game in a terminal: the address in that variable, nothing else."""
    where = free_address("tcp", tmp_path)
    env = BridgeEnv(listen=where, connect=False, deadlines=PATIENT)
    game = subprocess.Popen(BARE, env={"TROPISM_BRIDGE_ADDR": where})
    env.connect()
    env.reset(seed=1)
    env.close()
    assert game.wait(10) == 0
