"""The game's side of BonkLink v1: the plugin's bytes, and none of its misbehaviour."""

import socket
import struct

import pytest
from tests.bridges.bonklink_original import until
from tests.bridges.test_legacy_bonklink import FULL, FULL_HEX, MOVE

from tropism.bridges.errors import PortInUse
from tropism.bridges.legacy import Action, BonkLinkServer, Outcome, Request
from tropism.bridges.legacy.bonklink import decode_state
from tropism.bridges.legacy.bonklink_server import BACKLOG_MAX
from tropism.bridges.legacy.bonklink_stream import PacketDecoder, frame_action

STATE = bytes.fromhex(FULL_HEX)
GOLDEN = struct.pack("<i", len(STATE)) + STATE


@pytest.fixture
def server():
    with BonkLinkServer(0) as server:
        yield server


def dial(server, ticks=True):
    agent = socket.create_connection(("127.0.0.1", server.port), 10)
    if ticks:
        before = server._agent
        until(lambda: server.tick(FULL) is not None and server._agent is not before)
    return agent


def take(server, count):
    """Tick until `count` actions have come."""
    found = []
    until(lambda: found.extend(server.tick(FULL)) or len(found) >= count)
    return found


def test_bytes_are_those_of_the_plugin(server):
    with dial(server) as agent:
        server.tick(FULL, b"a frame")
        expected = GOLDEN + bytes(4) + GOLDEN + b"\x07\0\0\0a frame"
        assert agent.recv(len(expected), socket.MSG_WAITALL) == expected


def test_actions_come_in_order_and_clamped_and_oversize_ones_are_skipped(server):
    with dial(server) as agent:
        oversize = struct.pack("<i", 3000) + b"\x01" * 3000
        agent.sendall(frame_action(MOVE) + oversize + frame_action(Action((5.0, -5.0))))
        assert take(server, 2) == [MOVE, Action((1.0, -1.0))]
    until(lambda: server.tick(FULL) == [] and not server.connected)
    assert server.ignored == 1


def test_actions_sent_before_hanging_up_still_count(server):
    with dial(server) as agent:
        agent.sendall(frame_action(MOVE))
    assert take(server, 1) == [MOVE]


def test_second_agent_replaces_the_first_which_is_told(server):
    with dial(server) as first, dial(server) as second:
        first.settimeout(10)
        data = b"x"
        while data:
            try:
                data = first.recv(65536)
            except ConnectionResetError:
                break
        assert second.recv(len(GOLDEN), socket.MSG_WAITALL) == GOLDEN


def test_second_agent_is_refused_if_so_wanted_until_the_first_has_gone():
    with BonkLinkServer(0, second="refuse") as server:
        with dial(server) as first:
            with dial(server, ticks=False) as second:
                until(lambda: server.tick(FULL) is not None and closed(second))
            assert first.recv(len(GOLDEN), socket.MSG_WAITALL) == GOLDEN
        with dial(server) as third:
            assert third.recv(len(GOLDEN), socket.MSG_WAITALL) == GOLDEN


def closed(connection):
    try:
        connection.setblocking(False)
        return connection.recv(1) == b""
    except BlockingIOError:
        return False


def test_agent_that_does_not_read_never_blocks_the_game_and_gets_whole_packets(server):
    frame = bytes(2**20)
    with dial(server) as agent:
        for _ in range(BACKLOG_MAX // len(frame) + 40):
            server.tick(FULL, frame)
        assert server.dropped > 0
        assert len(server._agent.unsent) <= BACKLOG_MAX + len(frame) + len(GOLDEN) + 4
        decoder, whole = PacketDecoder(), 0
        for _ in range(200):
            server.tick(FULL)
            decoder.feed(agent.recv(2**20))
            while decoder.next() is not None:
                whole += 1
        assert whole > 8


def test_garbage_ends_the_connection(server):
    with dial(server) as agent:
        agent.sendall(b"\xff\xff\xff\x7f")
        until(lambda: server.tick(FULL) == [] and not server.connected)


def test_trailer_is_sent_only_to_who_asks_and_tells_what_was_applied(server):
    with dial(server) as agent:
        decoder = PacketDecoder()
        agent.sendall(frame_action(Action(request=Request(7, True, 3))))
        take(server, 1)
        server.tick(FULL, total=2.5, truncated=True)
        agent.settimeout(0.2)
        outcomes = []
        while not outcomes or outcomes[-1] is None:
            decoder.feed(agent.recv(65536))
            while (packet := decoder.next()) is not None:
                outcomes.append(decode_state(packet.state).outcome)
        assert outcomes[0] is None
        assert outcomes[-1] == Outcome(7, 1, False, True, False, 2.5)


def test_port_taken_is_told(server):
    with pytest.raises(PortInUse, match=str(server.port)):
        BonkLinkServer(server.port)
