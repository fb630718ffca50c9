"""The agent's side of BonkLink v1: never behind, nothing dropped that lasted one tick, errors that differ."""

import os
import socket
import statistics
import struct
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from tests.bridges.bonklink_live import Game
from tests.bridges.bonklink_original import OriginalGame, until

from tropism.bridges.errors import (
    BridgeClosed,
    ConnectionLost,
    ConnectTimeout,
    ForkedBridge,
    ProtocolError,
    ResetTimeout,
    StepTimeout,
    UnsupportedMessage,
)
from tropism.bridges.legacy import Action, BonkLinkClient, BonkLinkServer, Event, State
from tropism.bridges.legacy.bonklink import encode_state
from tropism.bridges.legacy.bonklink_stream import encode_packet, frame_action

ROOT = Path(__file__).parents[2]
PLAYING = State(is_playing=True, menu="Gameplay")
PACKET = encode_packet(encode_state(PLAYING))


class Wire:
    """A game by hand: whatever bytes a test wants to send."""

    def __init__(self, **options):
        self.listener = socket.create_server(("127.0.0.1", 0))
        port = self.listener.getsockname()[1]
        self.client = BonkLinkClient(port=port, timeout=10, **options)
        self.connection, _ = self.listener.accept()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.client.close()
        self.connection.close()
        self.listener.close()


def repeat(call, *arguments, times=10**6):
    for _ in range(times):
        call(*arguments)


def send_burst(wire, count=600):
    """States 0 to count - 1, a frame with every tenth, and at 300 a choice to level up for one tick."""
    for tick in range(count):
        options = ("Sword", "Boots") if tick == 300 else ()
        state = replace(PLAYING, game_time=float(tick), level_up=options)
        frame = b"frame %d" % tick if tick % 10 == 0 else b""
        wire.connection.sendall(encode_packet(encode_state(state), frame))
    until(lambda: wire.client.packets == count)


def test_latest_gives_the_newest_state_with_all_events_and_the_newest_frame():
    with Wire() as wire:
        send_burst(wire)
        reading = wire.client.read(10)
        assert (reading.state.game_time, reading.frame, reading.skipped) == (599, b"frame 590", 599)
        assert reading.events == (
            Event("menu", "Gameplay", 0.0),
            Event("playing", True, 0.0),
            Event("level_up", ("Sword", "Boots"), 300.0),
            Event("level_up", (), 301.0),
        )
        with pytest.raises(StepTimeout):
            wire.client.read(0.01)


def test_fifo_gives_every_state_in_order_with_its_own_frame():
    with Wire(mode="fifo") as wire:
        send_burst(wire)
        readings = [wire.client.read(10) for _ in range(600)]
        assert [reading.state.game_time for reading in readings] == list(range(600))
        assert sum(bool(reading.frame) for reading in readings) == 60
        assert [event.name for event in readings[300].events] == ["level_up"]
        assert all(reading.skipped == 0 for reading in readings)


def test_fifo_holds_the_game_back_instead_of_growing(monkeypatch):
    monkeypatch.setattr("tropism.bridges.legacy.bonklink_inbox.FIFO_BYTES", 2**20)
    with Wire(mode="fifo") as wire:
        packet, sent = encode_packet(encode_state(PLAYING), bytes(2**18)), 200
        sender = threading.Thread(target=lambda: wire.connection.sendall(packet * sent))
        sender.start()
        readings = 0
        for _ in range(sent):
            wire.client.read(10)
            readings += 1
            assert wire.client._inbox._bytes < 2**20 + 2**19
        sender.join()
        assert readings == sent


# --- errors --------------------------------------------------------------------------------------


def test_nothing_and_gone_and_garbage_are_different_errors():
    with Wire() as wire:
        with pytest.raises(StepTimeout) as caught:
            wire.client.read(0.05)
        assert caught.value.phase == "step"
        wire.connection.sendall(PACKET)
        assert wire.client.read(10).state == PLAYING  # a timeout has lost nothing
        wire.connection.close()
        start = time.monotonic()
        with pytest.raises(ConnectionLost):
            wire.client.read(10)
        assert time.monotonic() - start < 1
    with Wire() as wire:
        wire.connection.sendall(struct.pack("<i", -7))
        with pytest.raises(ProtocolError, match="-7"):
            wire.client.read(10)
        with pytest.raises(ProtocolError):  # and stays so
            wire.client.read(10)


def test_what_came_before_the_end_is_still_read():
    with Wire() as wire:
        wire.connection.sendall(PACKET)
        wire.connection.close()
        assert wire.client.read(10).state == PLAYING
        with pytest.raises(ConnectionLost):
            wire.client.read(10)


@pytest.mark.parametrize("size", range(1, len(PACKET), 7))
def test_game_that_dies_in_the_middle_of_a_packet_is_told(size):
    with Wire() as wire:
        wire.connection.sendall(PACKET[:size])
        wire.connection.close()
        with pytest.raises(ProtocolError, match="EOF inside"):
            wire.client.read(10)


def test_reader_that_waits_is_woken_by_the_end():
    with Wire() as wire:
        errors = []

        def read():
            try:
                wire.client.read(30)
            except ConnectionLost as error:
                errors.append(error)

        reader = threading.Thread(target=read)
        reader.start()
        wire.connection.close()
        reader.join(5)
        assert len(errors) == 1


def test_packets_may_come_byte_by_byte():
    with Wire() as wire:
        for byte in PACKET:
            wire.connection.sendall(bytes([byte]))
        assert wire.client.read(10).state == PLAYING


def test_nobody_there_is_told_after_the_timeout():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(ConnectTimeout) as caught:
        BonkLinkClient(port=port, timeout=0.2)
    assert caught.value.attempts > 1


def test_game_that_takes_no_actions_is_a_timeout_not_a_hang():
    with Wire() as wire:
        wire.connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        wire.client._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        with pytest.raises(StepTimeout, match="takes no actions"):
            repeat(wire.client.send, Action(), 0.05)
        with pytest.raises(StepTimeout):  # half an action may be out
            wire.client.read(10)


def test_closed_client_says_so():
    with Wire() as wire:
        wire.client.close()
        wire.client.close()
        with pytest.raises(BridgeClosed):
            wire.client.read()
        with pytest.raises(BridgeClosed):
            wire.client.send(Action())


def test_fork_is_noticed(monkeypatch):
    with Wire() as wire:
        with monkeypatch.context() as patch:
            patch.setattr(os, "getpid", lambda: -1)
            with pytest.raises(ForkedBridge):
                wire.client.read()
        wire.connection.sendall(PACKET)
        assert wire.client.read(10).state == PLAYING


def test_connects_again_to_a_game_that_was_started_again():
    with Game() as game:
        client = BonkLinkClient(port=game.port, timeout=10, extension=True)
        assert client.negotiate()
    with pytest.raises(ConnectionLost):
        repeat(client.read, 10)
    with Game(game.port):
        client.connect(10)
        assert client.negotiate()
        client.reset(timeout=10)
        assert client.connections == 2
        client.close()


# --- actions and the extension -------------------------------------------------------------------


def test_original_game_takes_the_offer_for_a_neutral_action_and_stays_in_step():
    with OriginalGame(PACKET) as game:
        with BonkLinkClient(port=game.port, extension=True, timeout=10) as client:
            assert not client.negotiate()
            client.send(Action((0.5, -0.5), fire=True, click=(3, 4)))
            client.send(Action(interact=True))
            until(lambda: len(game.actions) == 3)
            with pytest.raises(UnsupportedMessage):
                client.reset()
        assert game.actions == [
            (0.0, 0.0, 0.0, 0.0, False, False, False, False),
            (0.5, -0.5, 0.0, 0.0, True, False, False, True, 3, 4),
            (0.0, 0.0, 0.0, 0.0, False, False, True, False),
        ]


def test_without_the_offer_only_v1_bytes_are_sent():
    with Wire() as wire:
        actions = [Action((1.0, 0.0)), Action(click=(1, 2))]
        for action in actions:
            assert wire.client.send(action) == 0
        expected = b"".join(map(frame_action, actions))
        assert wire.connection.recv(len(expected), socket.MSG_WAITALL) == expected
        assert len(expected) == 24 + 32


@pytest.mark.parametrize("mode", ["latest", "fifo"])
def test_reset_begins_an_episode_and_rewards_add_up(mode):
    with Game() as game:
        client = BonkLinkClient(port=game.port, mode=mode, extension=True, timeout=10)
        with client:
            assert client.negotiate()
            for seed in (5, None, -3):
                reading = client.reset(seed, 10)
                assert reading.state.outcome.episode == len(game.seeds)
                while reading.state.outcome.total < 20:
                    reading = client.read(10)
                assert reading.state.outcome.total == reading.state.game_time
            assert game.seeds == [5, None, -3]
            with pytest.raises(ResetTimeout):
                client.reset(timeout=0.0)


def test_held_action_is_sent_once_for_each_state_but_its_click_once():
    with Wire(hold=True) as wire:
        wire.client.send(Action((1.0, 0.0), fire=True, click=(1, 1)))
        for _ in range(4):  # the first state answers the action that was just sent
            wire.connection.sendall(PACKET)
            wire.client.read(10)
        held = frame_action(Action((1.0, 0.0), fire=True))
        expected = frame_action(Action((1.0, 0.0), fire=True, click=(1, 1))) + 3 * held
        assert wire.connection.recv(len(expected), socket.MSG_WAITALL) == expected


# --- how old what is read is ---------------------------------------------------------------------


def staleness(seconds):
    """Ages in seconds of what a 20 Hz reader reads from a 60 Hz game that is another process, and frames."""
    base = time.monotonic()
    command = [sys.executable, str(Path(__file__).with_name("bonklink_live.py")), repr(base)]
    paths = [str(ROOT / part) for part in ("envs", "bridges", ".")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as game:
        try:
            with BonkLinkClient(port=int(game.stdout.readline()), timeout=10) as client:
                return ages(client, base, seconds)
        finally:
            game.kill()


def ages(client, base, seconds):
    found, frames, start = [], 0, time.monotonic()
    for turn in range(int(seconds * 20)):
        time.sleep(max(start + turn / 20 - time.monotonic(), 0.0))
        reading = client.read(10)
        found.append(time.monotonic() - base - reading.state.game_time)
        frames += bool(reading.frame)
    return found, frames


def percentile(found, record_property):
    """The 95th of ages in seconds, which is recorded in milliseconds."""
    p95 = statistics.quantiles(found, n=20)[-1]
    record_property("p95_ms", round(p95 * 1e3, 2))
    return p95


def test_slow_reader_is_not_behind(record_property):
    found, frames = staleness(2)
    percentile(found, record_property)
    assert statistics.median(found) < 0.05
    assert (
        max(found[20:]) < 1
    )  # the original is seconds behind by now, and falls behind more and more
    assert frames >= 15


@pytest.mark.slow
def test_slow_reader_is_never_behind_in_ten_seconds(record_property):
    found, frames = staleness(10)
    assert percentile(found, record_property) < 0.05
    assert frames >= 90


def test_server_and_client_agree_over_the_wire():
    states = [replace(PLAYING, game_time=float(tick)) for tick in range(20)]
    with (
        BonkLinkServer(0) as server,
        BonkLinkClient(port=server.port, mode="fifo", timeout=10) as client,
    ):
        until(lambda: server.tick(PLAYING) is not None and server.connected)
        for state in states:
            server.tick(state)
        seen = [client.read(10).state for _ in range(len(states) + 1)]
        assert seen == [PLAYING, *states]
