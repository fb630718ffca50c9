"""Rows 27 and 28 of the fault matrix: the agent is killed; nothing is left, and the game can be played again."""

import random
import signal
import time
from pathlib import Path

import pytest
from tests.bridges.faults.agents import Waiting, agent
from tests.bridges.traces import AT_ONCE, PATIENT, TRANSPORTS, eventually, is_running

from tropism.bridges.env import BridgeEnv
from tropism.bridges.errors import PeerBusy
from tropism.bridges.transports.hello import new_token

IN_TIME = 1.0 + AT_ONCE
SCHEMES = {"tcp": "tcp://127.0.0.1:0", "ws": "ws://127.0.0.1:0", "shm": "tcp://127.0.0.1:0"}


def kill_an_agent(transport, directory, moment):
    """Kill one in the middle of its steps; its game must end by itself."""
    environment = {"TMPDIR": str(directory), "TROPISM_BRIDGE_SHM_DIR": str(directory)}
    with agent(transport=transport, environment=environment) as killed:
        assert killed.transport == transport
        time.sleep(moment)
        killed.signal(signal.SIGKILL)
        killed.end()
        assert eventually(lambda: not is_running(killed.game_pid), IN_TIME)
        return sorted(str(path.relative_to(directory)) for path in directory.rglob("*"))


def test_row_27_nothing_is_left_of_a_killed_agent(transport, tmp_path, record_property):
    record_property("kills", 1)
    assert kill_an_agent(transport, tmp_path, 0.02) == []


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(50))
def test_row_27_nothing_is_left_of_two_hundred_killed_agents(
    transport, tmp_path, seed, record_property
):
    record_property("kills", 1)
    assert kill_an_agent(transport, tmp_path, random.Random(seed).uniform(0, 0.1)) == []


def next_session(**options):
    """An environment as soon as the game has noticed that the agent before is gone; and how long that took."""
    start = time.monotonic()
    while True:
        try:
            return BridgeEnv(deadlines=PATIENT, **options), time.monotonic() - start
        except PeerBusy:
            assert time.monotonic() - start < IN_TIME


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_row_28_the_next_agent_with_the_same_token_begins_a_new_episode(transport, tmp_path):
    token = new_token()
    where = SCHEMES.get(transport, f"unix://{tmp_path}/game.sock")
    with Waiting(token, "--listen", where) as game:
        options = {"address": game.address(), "transport": transport, "token": token}
        with agent(**options) as killed:
            killed.signal(signal.SIGKILL)
            env, took = next_session(**options)
        assert took < IN_TIME
        with pytest.raises(Exception, match="reset"):
            env.step(0)
        first, info = env.reset(seed=5)
        assert info["bridge"]["step"] == 0
        assert env.session.episode == 1
        assert env.step(0)[4]["bridge"]["step"] == 1
        again, _ = env.reset(seed=5)
        assert env.session.episode == 2
        assert (first == again).all()
        env.close()


def test_row_28_a_game_that_dials_comes_to_the_next_agent(tmp_path):
    token, where = new_token(), f"unix://{tmp_path}/agent.sock"
    options = {"listen": where, "token": token}
    with Waiting(token, "--address", where, "--on-agent-lost", "wait"):
        with agent(**options) as killed:
            killed.signal(signal.SIGKILL)
            killed.end()
            env, took = next_session(**options)
        assert took < IN_TIME
        assert env.reset(seed=5)[1]["bridge"]["step"] == 0
        env.close()
    assert not Path(where.removeprefix("unix://")).exists()
