"""Looking for an answer before sleeping: only where a processor is free and it pays, over memory and connections alike."""

import gc
import threading
import time

import pytest
from tests.bridges.odd import COMMAND
from tests.bridges.pairs import raw_peer
from tests.bridges.traces import PATIENT

from tropism.bridges.env import BridgeEnv
from tropism.bridges.errors import StepTimeout
from tropism.bridges.protocol.header import Type
from tropism.bridges.protocol.messages import encode
from tropism.bridges.transports import patience as module
from tropism.bridges.transports.blocking import BLOCK_S
from tropism.bridges.transports.patience import Patience
from tropism.bridges.vector import BridgeVectorEnv


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    """Two processors and no session, whatever other tests have left."""
    gc.collect()
    monkeypatch.setattr(module, "processors", lambda: 2)
    monkeypatch.setattr(Patience, "sessions", 0)


def test_looking_stops_where_it_does_not_pay_and_is_tried_again_ever_more_rarely(monkeypatch):
    patience = Patience(None)
    short = patience.seconds()
    assert short > 0
    for _ in range(4):
        assert patience.seconds() == short
        patience.miss()
    for length in (64, 128, 256, 512, 1024, 1024):
        assert not any(patience.seconds() for _ in range(length - 1))
        assert patience.seconds() > short  # the other may be asleep, too
        patience.miss()
    patience.misses = 0
    for _ in range(1023):
        patience.seconds()
    assert patience.seconds() > patience.seconds() == short
    monkeypatch.setattr(Patience, "sessions", 2)
    assert patience.seconds() == 0.0  # no processor is idle


def test_who_asks_for_a_time_gets_it(monkeypatch):
    monkeypatch.setattr(Patience, "sessions", 1000)
    patience = Patience(7.0)
    for _ in range(100):
        patience.miss()
        assert patience.seconds() == 7e-6


def test_looking_before_sleeping_neither_loses_a_message_nor_a_deadline():
    with raw_peer() as (connection, peer):
        connection.patience = Patience(30e6)
        start = time.monotonic()
        with pytest.raises(StepTimeout):
            connection.receive(0.05, "step")
        peer.send(encode(Type.OBS, b"there", 1, 1))
        assert connection.receive(5).body == b"there"
        connection.patience = Patience(1e4)
        threading.Timer(0.1, peer.send, [encode(Type.OBS, b"late", 2, 1)]).start()
        assert connection.receive(5).body == b"late"
        assert time.monotonic() - start < 5


def test_a_connection_sleeps_at_once_after_looking_in_vain():
    with raw_peer() as (connection, peer):
        connection.patience = Patience(None)
        for _ in range(4):
            with pytest.raises(StepTimeout):
                connection.receive(BLOCK_S, "step")
        peer.send(encode(Type.OBS, b"there", 1, 1))
        assert connection.receive(5).body == b"there"
        assert connection.patience.misses == 4  # it did not look


@pytest.mark.parametrize("transport", ["tcp", "shm"])
def test_a_session_looks_until_it_ends_and_only_while_a_processor_is_left(transport):
    games = {"command": COMMAND, "deadlines": PATIENT, "transport": transport}
    with_one = BridgeEnv(**games)
    with_one.reset(seed=1)
    channel = with_one.session._channel
    patience = channel.patience if transport == "tcp" else channel._patience
    assert Patience.sessions == 1
    assert patience.seconds() > 0
    vector = BridgeVectorEnv(1, **games)
    assert Patience.sessions == 2
    assert patience.seconds() == 0.0
    vector.close()
    assert patience.seconds() > 0
    with_one.close()
    with_one.close()
    assert Patience.sessions == 0
