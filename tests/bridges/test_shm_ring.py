"""Slots in shared memory: whole messages or none."""

import mmap
import os
import subprocess
import sys

import pytest
from tests.bridges.pairs import SPEC

from tropism.bridges.errors import (
    ShmCorrupt,
)
from tropism.bridges.protocol.header import Type
from tropism.bridges.transports.shm.ring import (
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

NONCE = 2**64 - 1
PLAN = Plan.of(SPEC)
HEAD = PLAN.head(SPEC.hash, NONCE)


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
