"""Connections: whole messages in time or a typed error, on every transport."""

import os
import random
import threading

import pytest
from tests.bridges.pairs import SOCKETS, TRANSPORTS, echoing, raw_peer, session

from tropism.bridges.errors import (
    BridgeTimeout,
    StepTimeout,
)
from tropism.bridges.protocol.header import Type
from tropism.bridges.protocol.messages import encode

SIZES = (0, 1, 3, 4, 125, 126, 4096, 65503, 65504, 65505, 65536, 921_600, 3_000_000)


@pytest.mark.parametrize("agent_listens", [True, False])
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_bodies_of_all_sizes_come_back(transport, agent_listens):
    rng = random.Random(5)
    with session(transport, agent_listens) as (agent, game), echoing(game):
        for seq, size in enumerate(SIZES, 1):
            body = rng.randbytes(size)
            agent.send(Type.RESET, body, seq, seq)
            message = agent.receive(10)
            assert (message.type, message.seq, message.episode) == (Type.OBS, seq, seq)
            assert bytes(message.body) == body
        agent.close("done")


@pytest.mark.parametrize("transport", SOCKETS)
def test_checksums_and_compression_are_used_once_granted(transport):
    caps = ("crc", "zlib")
    with session(transport, caps=caps) as (agent, game), echoing(game):
        assert agent.crc
        assert agent.zlib
        for seq, body in enumerate((b"", b"abc", bytes(100_000), os.urandom(5000)), 1):
            agent.send(Type.RESET, body, seq, seq)
            assert bytes(agent.receive(10).body) == body
        agent.close("done")


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_what_came_in_time_is_kept_for_the_next_call(transport):
    with session(transport) as (agent, game):
        with pytest.raises(StepTimeout, match=r"request 7") as caught:
            agent.receive(0.02, "step", 7)
        assert (caught.value.phase, caught.value.seq) == ("step", 7)
        assert caught.value.waited >= 0.02
        game.send(Type.OBS, b"late", 7, 1)
        assert agent.receive(5, "step", 8).body == b"late"


def test_a_message_in_pieces_survives_time_outs():
    wire = encode(Type.OBS, b"x" * 500, 3, 1)
    with raw_peer() as (connection, peer):
        for start in range(0, len(wire) - 20, 20):
            peer.send(wire[start : start + 20])
            with pytest.raises(BridgeTimeout):
                connection.receive(0.0)
        with pytest.raises(StepTimeout, match="body of OBS, 488/500 bytes"):
            connection.receive(0.0, "step")
        peer.send(wire[-12:])
        assert connection.receive(5).body == b"x" * 500


def test_a_large_message_in_random_pieces_is_whole():
    rng = random.Random(3)
    bodies = [rng.randbytes(rng.choice((0, 10, 40_000, 70_000, 200_000))) for _ in range(20)]
    wire = b"".join(encode(Type.OBS, body, i) for i, body in enumerate(bodies))

    def dribble(peer):
        start = 0
        while start < len(wire):
            size = rng.choice((1, 31, 32, 33, 1000, 65_536, 100_000))
            peer.sendall(wire[start : start + size])
            start += size

    with raw_peer() as (connection, peer):
        thread = threading.Thread(target=dribble, args=(peer,))
        thread.start()
        for i, body in enumerate(bodies):
            message = connection.receive(10)
            assert message.seq == i
            assert bytes(message.body) == body
        thread.join()


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_unknown_messages_are_skipped_and_counted(transport):
    with session(transport) as (agent, game):
        game.send(99, b"from the future")
        game.send(Type.EVENT, b"{}")
        assert agent.receive(5).type == Type.EVENT
        assert agent.skipped == 1


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_ping_is_answered_while_receiving(transport):
    with session(transport) as (agent, game), echoing(game):
        agent.send(Type.PING, b"are you there?")
        message = agent.receive(5)
        assert (message.type, bytes(message.body)) == (Type.PONG, b"are you there?")
        agent.close("done")
