"""Shared memory: whole messages or none, bells that may get lost, and nothing left behind."""

import errno
import mmap
import os
import stat
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from tests.bridges.pairs import SPEC, both, connected, echoing, session

from tropism.bridges.errors import (
    BridgeTimeout,
    ConnectionLost,
    ProtocolError,
    ShmCorrupt,
    ShmUnavailable,
)
from tropism.bridges.protocol.header import Type
from tropism.bridges.protocol.messages import encode, write_json
from tropism.bridges.transports.handshake import expect_ready, open_agent, open_game, ready
from tropism.bridges.transports.shm import channel as channels
from tropism.bridges.transports.shm import region as regions
from tropism.bridges.transports.shm.patience import Patience
from tropism.bridges.transports.shm.region import Region
from tropism.bridges.transports.shm.ring import (
    AGENT_WAITS,
    NEWEST,
    PREAMBLE,
    REQUEST,
    SLOTS,
    Lane,
    Plan,
    Ring,
    getter,
    plan_of,
)
from tropism.bridges.transports.shm.upgrade import answer, offer

NONCE = 2**64 - 1
PLAN = Plan.of(SPEC)
HEAD = PLAN.head(SPEC.hash, NONCE)


@pytest.fixture
def directory(tmp_path, monkeypatch):
    monkeypatch.setenv(regions.DIRECTORY, str(tmp_path))
    return tmp_path


@pytest.fixture
def rings():
    """Both ends of a ring, without a channel around them."""
    memory = mmap.mmap(-1, PLAN.size)
    memory[: len(HEAD)] = HEAD
    agent = Ring(memory, PLAN, HEAD, is_agent=True, copy=True)
    game = Ring(memory, PLAN, HEAD, is_agent=False, copy=True)
    yield agent, game
    agent.release()
    game.release()
    memory.close()


# --- the file ------------------------------------------------------------------------------------


def test_a_region_is_private_has_its_blocks_and_a_name_for_seconds_only(directory):
    region = Region.create(1 << 16)
    (path,) = directory.iterdir()
    facts = path.stat()
    assert stat.S_IMODE(facts.st_mode) == 0o600
    assert facts.st_blocks * 512 >= 1 << 16
    assert path.name.startswith(f"tropism_br_{os.getpid()}_")
    other = Region.attach(str(path), 1 << 16)
    region.unlink()
    assert list(directory.iterdir()) == []
    region.memory[5] = 77
    assert other.memory[5] == 77
    other.close()
    region.close()
    region.close()


def test_a_region_that_nobody_took_leaves_nothing(directory):
    Region.create(4096).close()
    assert list(directory.iterdir()) == []


def test_a_full_directory_is_said_with_numbers(directory, monkeypatch):
    def full(fd, offset, size):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(ShmUnavailable, match=r"need 12345678 bytes, \d+ are free"):
        Region.create(12_345_678)
    assert list(directory.iterdir()) == []


def test_a_directory_that_does_not_exist_is_said(monkeypatch, tmp_path):
    monkeypatch.setenv(regions.DIRECTORY, str(tmp_path / "none"))
    with pytest.raises(ShmUnavailable, match=regions.DIRECTORY):
        Region.create(4096)


def test_processors_that_reorder_writes_are_not_trusted(monkeypatch):
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    with pytest.raises(ShmUnavailable, match="aarch64"):
        Region.create(4096)


def test_only_what_was_offered_is_mapped(directory):
    path = directory / "x"
    path.write_bytes(bytes(4096))
    (directory / "link").symlink_to(path)
    os.mkfifo(directory / "pipe")
    Region.attach(str(path), 4096).close()
    with pytest.raises(ShmCorrupt, match="4096 bytes, not 8192"):
        Region.attach(str(path), 8192)
    for other in ("none", "link", "nul\0"):
        with pytest.raises(ShmUnavailable):
            Region.attach(str(directory / other), 4096)
    with pytest.raises(ShmCorrupt, match="regular"):
        Region.attach(str(directory / "pipe"), 4096)


def test_the_janitor_removes_what_the_dead_left_and_nothing_else(directory):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    names = {
        "dead": f"tropism_br_{dead.pid}_{'0' * 32}",
        "young": f"tropism_br_{dead.pid}_{'1' * 32}",
        "alive": f"tropism_br_{os.getpid()}_{'0' * 32}",
        "other": f"tropism_br_{dead.pid}_notes",
        "foreign": "psm_12345",
    }
    for name in names.values():
        (directory / name).write_bytes(b"x")
        if name != names["young"]:
            os.utime(directory / name, (0, 0))
    assert regions.sweep(str(directory)) == [names["dead"]]
    left = {path.name for path in directory.iterdir()}
    assert left == set(names.values()) - {names["dead"]}


# --- slots ---------------------------------------------------------------------------------------


def test_the_head_is_checked(rings):
    memory = mmap.mmap(-1, PLAN.size)
    memory[: len(HEAD)] = HEAD
    assert plan_of(memory, NONCE, SPEC.hash) == PLAN
    for offset in (0, 4, 8, 16, 24, 40, 44, 48, 52):
        memory[offset] ^= 1
        with pytest.raises(ShmCorrupt):
            plan_of(memory, NONCE, SPEC.hash)
        memory[offset] ^= 1
    memory.close()


def test_the_layout_is_that_of_the_protocol(rings):
    agent, game = rings
    memory = agent._memory
    agent.write(Type.STEP, b"move", 7, 3)
    assert memory[REQUEST : REQUEST + 4] == (7).to_bytes(4, "little")
    slot = SLOTS + PLAN.action  # 7 mod 2
    assert memory[slot : slot + 16] == (7).to_bytes(8, "little") * 2
    assert memory[slot + 16 : slot + 22] == b"GBR1\x11\x08"
    assert memory[slot + PREAMBLE : slot + PREAMBLE + 4] == b"move"
    for number in (1, 2, 3, 4):
        game.write(Type.OBS, b"seen", 100 + number, 3)
        assert memory[NEWEST : NEWEST + 8] == number.to_bytes(8, "little")
        slot = SLOTS + 2 * PLAN.action + number % 3 * PLAN.observation
        assert memory[slot : slot + 16] == number.to_bytes(8, "little") * 2


def test_only_the_newest_is_read_and_only_once(rings):
    agent, game = rings
    assert agent.read() is None
    for seq in range(1, 6):
        game.write(Type.OBS, bytes([seq]), seq, 1)
    message = agent.read()
    assert (message.type, message.seq, message.episode, message.body) == (Type.OBS, 5, 1, b"\5")
    assert agent.dropped == 4
    assert agent.read() is None


def test_numbers_of_requests_wrap_around(rings):
    agent, game = rings
    for seq in (2**32 - 2, 2**32 - 1, 1, 2):
        agent.write(Type.STEP, b"", seq, 1)
        assert game.read().seq == seq


@pytest.mark.parametrize("offset", [16, 21, 22, 27])
def test_a_slot_that_holds_no_message_is_corrupt(rings, offset):
    agent, game = rings
    game.write(Type.OBS, b"x", 1, 1)
    agent._memory[SLOTS + 2 * PLAN.action + PLAN.observation + offset] ^= 0x80
    with pytest.raises(ShmCorrupt):
        agent.read()


def test_a_number_without_its_slot_is_corrupt(rings):
    agent, _ = rings
    agent._memory[NEWEST] = 5
    with pytest.raises(ShmCorrupt):
        agent.read()


def test_a_reader_believes_nothing_that_changed_under_it():
    """Interrupt a reader between its looks at the numbers, by the hand of the writer."""
    memory = mmap.mmap(-1, 3 * 4096)
    writer = Lane(memory, 0, 3, 4096, copy=True)
    reader = Lane(memory, 0, 3, 4096, copy=True)
    writer.put(1, Type.OBS, b"one", 1, 1)

    class Overtaken:
        def __getitem__(self, where):
            body = memory[where]
            writer.put(4, Type.OBS, b"four", 4, 1)  # the same slot
            return body

    overtaken = getter(memory, Overtaken(), reader._longs, reader.bases, reader.room, copy=True)
    assert overtaken(1) is None
    writer.put(1, Type.OBS, b"one", 1, 1)
    assert reader.get(1).body == b"one"
    for lane in (reader, writer):
        lane.release()
    memory.close()


WRITER = """
import mmap, os, sys
from tests.bridges.pairs import SPEC
from tropism.bridges.transports.shm.ring import Plan, Ring

plan = Plan.of(SPEC)
head = plan.head(SPEC.hash, 2**64 - 1)
fd = os.open(sys.argv[1], os.O_RDWR)
memory = mmap.mmap(fd, plan.size)
ring = Ring(memory, plan, head, is_agent=False, copy=True)
bodies = [bytes([value]) * 3000 for value in range(256)]
n = 0
while memory[0x100f] == 0 or n == 0:  # a byte that means nothing here
    for body in bodies:
        n += 1
        ring.write(18, body, n & 0xFFFFFFFF, n % 256)
        if n % 7 == 0:
            os.sched_yield()  # on a busy machine the reader shall see more than one frame of a slice
"""


def torn_reads(count: int, directory) -> tuple[int, int]:
    path = directory / "torn"
    path.write_bytes(bytes(PLAN.size))
    with path.open("r+b") as file:
        memory = mmap.mmap(file.fileno(), PLAN.size)
    memory[: len(HEAD)] = HEAD
    ring = Ring(memory, PLAN, HEAD, is_agent=True, copy=True)
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join((root, *sys.path))}
    game = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], env=environment)
    read = torn = empty = 0
    try:
        while read < count:
            message = ring.read()
            if message is None:
                os.sched_yield()
                empty += 1
                assert empty % 10_000 or game.poll() is None
                continue
            read += 1
            value = (message.seq - 1) % 256
            torn += bytes(message.body).count(value) != 3000 or message.episode != message.seq % 256
    finally:
        memory[0x100F] = 1
        game.wait(20)
    ring.release()
    memory.close()
    return read, torn


@pytest.mark.parametrize("count", [100_000, pytest.param(1_000_000, marks=pytest.mark.slow)])
def test_no_frame_is_torn(tmp_path, count, record_property):
    read, torn = torn_reads(count, tmp_path)
    record_property("reads", read)
    record_property("torn", torn)
    assert (read, torn) == (count, 0)


# --- sessions ------------------------------------------------------------------------------------


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


# --- offer and answer ----------------------------------------------------------------------------


def upgraded(near, far, game_answers):
    def agent():
        agreed = open_agent(near, dialled=False)
        try:
            return offer(near, agreed)
        finally:
            if not near.closed:
                ready(near, agreed)

    def game():
        agreed = open_game(far, SPEC, dialled=True)
        result = game_answers(agreed, expect_ready(far, agreed))
        if not far.closed:
            assert expect_ready(far, agreed) is None
        return result

    return both(agent, game)


def test_nothing_is_left_once_both_have_it(directory):
    with session("shm") as (agent, _):
        assert list(directory.iterdir()) == []
        assert agent.fileno() >= 0
    assert Patience.sessions == 0


def test_a_game_that_cannot_map_it_goes_on_without(directory):
    with connected("tcp") as (near, far):

        def blind(agreed, offered):
            for path in directory.iterdir():
                path.unlink()
            return answer(far, agreed, offered)

        refused, channel = upgraded(near, far, blind)
        assert channel is None
        assert isinstance(refused, ShmUnavailable)
        assert "declines" in str(refused)
        near.send(Type.RESET, b"{}", 1, 1)
        assert far.receive(5).type == Type.RESET


@pytest.mark.parametrize(
    ("ack", "error"),
    [
        ({"ok": True}, ShmCorrupt),  # but nothing was written
        ({"ok": False, "reason": "no"}, ShmUnavailable),
        ({}, ShmUnavailable),
    ],
)
def test_the_agent_believes_what_it_sees(directory, ack, error):
    with connected("tcp") as (near, far):

        def lie(agreed, offered):
            far.send(Type.SHM_ACK, write_json(ack))

        refused, _ = upgraded(near, far, lie)
    assert isinstance(refused, error)
    assert list(directory.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "declined"),
    [
        ({"path": "/none"}, True),
        ({"nonce": "5"}, True),
        ({"size": PLAN.size + 64}, True),
        ({"path": 5}, False),
        ({"nonce": 5}, False),
        ({"nonce": "9" * 20}, False),
        ({"nonce": "9" * 5000}, False),
        ({"size": 64}, False),
        ({"size": True}, False),
    ],
)
def test_the_game_checks_the_offer(directory, changes, declined):
    region = Region.create(PLAN.size)
    region.memory[: len(HEAD)] = HEAD
    facts = {"path": region.path, "size": region.size, "nonce": str(NONCE)} | changes

    def agent(connection):
        agreed = open_agent(connection, dialled=False)
        connection.send(Type.SHM_OFFER, write_json(facts))
        connection.receive(5)
        ready(connection, agreed)

    def game(connection):
        agreed = open_game(connection, SPEC, dialled=True)
        return answer(connection, agreed, expect_ready(connection, agreed))

    with connected("tcp") as (near, far):
        _, result = both(lambda: agent(near), lambda: game(far))
        assert result is None if declined else isinstance(result, ProtocolError)
        assert far.closed is not declined
    region.close()


def test_memory_that_was_not_agreed_upon_is_not_offered():
    with connected("tcp") as (near, far):

        def agent():
            agreed = open_agent(near, dialled=False, caps=())
            return offer(near, agreed)

        refused, _ = both(agent, lambda: open_game(far, SPEC, dialled=True))
    assert isinstance(refused, ShmUnavailable)


# --- patience ------------------------------------------------------------------------------------


def test_looking_stops_where_it_does_not_pay_and_is_tried_again(monkeypatch):
    monkeypatch.setattr("tropism.bridges.transports.shm.patience.processors", lambda: 2)
    monkeypatch.setattr(Patience, "sessions", 1)
    patience = Patience(None)
    short = patience.seconds()
    assert short > 0
    for _ in range(4):
        assert patience.seconds() == short
        patience.miss()
    rest = [patience.seconds() for _ in range(64)]
    assert rest[:-1] == [0.0] * 63
    assert rest[-1] > short  # the other may be asleep, too
    patience.misses = 0
    assert patience.seconds() == short
    monkeypatch.setattr(Patience, "sessions", 2)
    assert patience.seconds() == 0.0  # no processor is idle


def test_who_asks_for_a_time_gets_it(monkeypatch):
    monkeypatch.setattr(Patience, "sessions", 1000)
    patience = Patience(7.0)
    for _ in range(100):
        patience.miss()
        assert patience.seconds() == 7e-6
