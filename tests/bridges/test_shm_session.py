"""Sessions in shared memory: bells that may get lost, deaths, and how long to look before sleeping."""

import threading
import time

import numpy as np
import pytest
from tests.bridges.pairs import SPEC, echoing, session

from tropism.bridges.errors import (
    BridgeTimeout,
    ConnectionLost,
    ShmCorrupt,
)
from tropism.bridges.protocol.header import Type
from tropism.bridges.protocol.messages import encode
from tropism.bridges.transports.shm import channel as channels
from tropism.bridges.transports.shm.ring import (
    AGENT_WAITS,
    Plan,
)

NONCE = 2**64 - 1
PLAN = Plan.of(SPEC)
HEAD = PLAN.head(SPEC.hash, NONCE)


@pytest.mark.parametrize("agent_listens", [True, False])
@pytest.mark.parametrize("spin_us", [None, 0, 50])
def test_steps_go_through_memory(agent_listens, spin_us):
    with (
        session("shm", agent_listens, spin_us=spin_us) as (agent, game),
        echoing(game),
    ):
        agent.send(Type.RESET, b"{}", 1, 1)
        assert agent.receive(5).seq == 1
        for seq in range(2, 500):
            body = bytes([seq % 256]) * (seq % 16)
            agent.send(Type.STEP, body, seq, 1)
            message = agent.receive(10, "step", seq)
            assert (message.type, message.seq, message.episode) == (Type.OBS, seq, 1)
            assert message.body == body
            assert message.flags == 8
        agent.close("done")


def test_what_does_not_fit_goes_over_the_connection():
    with session("shm") as (agent, game), echoing(game):
        for seq, size in enumerate((10, PLAN.observation - 64, PLAN.observation, 10), 1):
            agent.send(Type.RESET, bytes(size), seq, seq)
            message = agent.receive(10)
            assert len(message.body) == size
            assert bool(message.flags & 8) == (size <= PLAN.observation - 64)
        agent.close("done")


@pytest.mark.parametrize("waiter", ["agent", "game"])
def test_a_lost_bell_costs_no_more_than_a_look(waiter, monkeypatch):
    with session("shm", spin_us=0) as (agent, game), echoing(game):
        agent.send(Type.RESET, b"{}", 1, 1)
        agent.receive(5)
        deaf = game if waiter == "agent" else agent
        monkeypatch.setattr(deaf, "_ring_bell", lambda: None)
        waits = []
        for seq in range(2, 12):
            start = time.monotonic()
            agent.send(Type.STEP, b"", seq, 1)
            assert agent.receive(10).seq == seq
            waits.append(time.monotonic() - start)
        assert sorted(waits)[len(waits) // 2] < 0.5
        monkeypatch.undo()
        agent.close("done")


def test_the_bell_is_only_rung_for_who_waits():
    with session("shm") as (agent, game):
        game._episode = 1
        rung = []
        agent._ring_bell = lambda: rung.append("bell")
        agent.send(Type.STEP, b"", 1, 1)
        assert rung == []
        assert game.receive(1).seq == 1
        game._ring.set_waiting(True)
        agent.send(Type.STEP, b"", 2, 1)
        assert rung == ["bell"]


def test_a_waiting_flag_is_taken_back():
    with session("shm") as (agent, _):
        with pytest.raises(BridgeTimeout):
            agent.receive(0.01)
        assert agent._ring._memory[AGENT_WAITS] == 0


def test_what_has_come_together_over_the_connection_is_not_waited_for_again(monkeypatch):
    monkeypatch.setattr(channels, "LOOK_S", 5.0)  # no look by chance
    wire = encode(Type.EVENT, b"{}") + encode(Type.REPLY, b"{}")
    with session("shm", spin_us=0) as (agent, game):
        timer = threading.Timer(0.02, lambda: game.connection._sock.sendall(wire))
        timer.start()
        assert [agent.receive(1).type for _ in range(2)] == [Type.EVENT, Type.REPLY]
        timer.join()


def test_events_are_not_forgotten_while_steps_come_fast():
    with session("shm") as (agent, game), echoing(game):
        agent.send(Type.RESET, b"{}", 1, 1)
        agent.receive(5)
        agent.send(Type.PING, b"ping")
        seen, seq, deadline = set(), 1, time.monotonic() + 10
        while Type.PONG not in seen and time.monotonic() < deadline:
            seq += 1
            agent.send(Type.STEP, b"", seq, 1)
            while (message := agent.receive(10)).type != Type.OBS:
                seen.add(message.type)
        assert Type.PONG in seen
        agent.close("done")


def test_an_action_does_not_overtake_the_reset_before_it():
    with session("shm") as (agent, game):
        agent.send(Type.RESET, b"{}", 1, 1)
        assert game.receive(5).seq == 1
        agent._ring.write(Type.ACTION, b"new", 3, 2)  # its RESET is still on its way
        assert game.take() is None
        with pytest.raises(BridgeTimeout):
            game.receive(0.0)
        agent.send(Type.RESET, b"{}", 2, 2)
        assert [game.receive(5).seq, game.receive(5).seq] == [2, 3]


def test_a_request_older_than_the_last_is_not_taken():
    with session("shm") as (agent, game):
        agent.send(Type.RESET, b"{}", 2, 1)
        assert game.receive(5).type == Type.RESET
        agent._ring.write(Type.ACTION, b"old", 1, 1)
        assert game.take() is None


def test_views_are_of_the_memory_and_outlive_the_session():
    with session("shm", copy=False) as (agent, game):
        game.send(Type.OBS, b"one", 1, 1)
        first = agent.receive(5).body
        assert isinstance(first, memoryview)
        assert first.readonly
        game.send(Type.OBS, b"two", 2, 1)
        game.send(Type.OBS, b"three", 3, 1)
        assert first == b"one"  # two more may come
        game.send(Type.OBS, b"four", 4, 1)
        assert first == b"fou"
        array = np.frombuffer(agent.receive(5).body, np.uint8)
    assert bytes(array) == b"four"


def test_the_last_words_of_a_game_that_dies_are_heard():
    with session("shm", spin_us=0) as (agent, game):
        game.send(Type.OBS, b"last words", 1, 1)
        game.connection._sock.close()
        agent._next_look = 1e300  # as if the connection had just been looked at
        assert agent.receive(5).body == b"last words"
        with pytest.raises(ConnectionLost):
            agent.receive(5)


def test_the_death_of_a_game_ends_the_wait():
    with session("shm") as (agent, game):
        thread = threading.Timer(0.1, game.connection._sock.close)
        thread.start()
        start = time.monotonic()
        with pytest.raises(ConnectionLost):
            agent.receive(20)
        assert time.monotonic() - start < 10
        thread.join()


def test_a_head_that_is_overwritten_is_noticed():
    with session("shm") as (agent, game):
        game._ring._memory[0x10] ^= 1
        game.send(Type.OBS, b"x", 1, 1)
        agent._next_look = 0.0
        with pytest.raises(ShmCorrupt, match="head"):
            agent.receive(5)
