"""What stands where in shared memory, and how messages get in and out whole: docs/bridge-protocol.md, section 9.

A writer fills a slot that no reader looks at, between two copies of its number; a reader copies, and believes what it
copied if both numbers are right before and after. Nobody ever waits for the other.
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from mmap import mmap
from time import monotonic_ns
from typing import NamedTuple

from tropism.bridges.errors import ShmCorrupt
from tropism.bridges.protocol.bodies import ActionCodec, ObsCodec
from tropism.bridges.protocol.header import MAGIC, Flag
from tropism.bridges.protocol.messages import Message
from tropism.bridges.protocol.spec import Spec
from tropism.bridges.transports.stream import Bytes

HEAD = struct.Struct("<4sIQQ16sIIII")
REQUEST, AGENT_WAITS = 0x080, 0x0C0  # u32, written by the agent
RESPONSE, GAME_WAITS = 0x100, 0x140  # u32, written by the game
NEWEST, ACCEPTED = 0x180, 0x1C0  # u64, written by the game
SLOTS = 0x1000
ACTIONS, OBSERVATIONS = 2, 3
LAYOUT = 1
PREAMBLE = 64  # of a slot: its numbers and the header of the message
INFO_ROOM = 4096
TRIES = 1000
_SHM = int(Flag.SHM)
_SHM_KIND = _SHM << 8  # type, flags and stream of a header as one integer
_MAGIC = int.from_bytes(MAGIC, "little")
_BEGIN = struct.Struct("<Q8xIIIIQII")  # of a slot: begin, and the header
_END = struct.Struct("<8xQIIIIQI")  # end, and the header up to the episode
_new = tuple.__new__


class Plan(NamedTuple):
    """Sizes of a region, in bytes."""

    action: int
    observation: int

    @property
    def size(self) -> int:
        """Of the whole file."""
        return SLOTS + ACTIONS * self.action + OBSERVATIONS * self.observation

    @classmethod
    def of(cls, spec: Spec) -> Plan:
        """Slots that hold every action of a game, and every observation with an info of 4,096 bytes."""
        observation = ObsCodec(spec).size + INFO_ROOM
        return cls(_slot(ActionCodec(spec).size), _slot(observation))

    def head(self, spec_hash: bytes, nonce: int) -> bytes:
        """What stands at the beginning of the region."""
        slots = (ACTIONS, self.action, OBSERVATIONS, self.observation)
        return HEAD.pack(b"GBRS", LAYOUT, self.size, nonce, spec_hash, *slots)


def plan_of(memory: mmap, nonce: int, spec_hash: bytes) -> Plan:
    """Read and check the beginning of a region made by the agent.

    Raises:
        ShmCorrupt: it does not say what it should.
    """
    action, observation = HEAD.unpack_from(memory)[6:9:2]
    plan = Plan(action, observation)
    if len(memory) != plan.size or memory[: HEAD.size] != plan.head(spec_hash, nonce):
        raise ShmCorrupt("the head of the shared memory has another magic, size, nonce or layout")
    if action % 64 or observation % 64 or min(plan) < PREAMBLE:
        raise ShmCorrupt(f"slots of {action} and {observation} bytes")
    return plan


class Lane:
    """The slots of one direction.

    Args:
        memory: the region.
        start: offset of the first slot.
        count: number of slots.
        size: bytes of a slot.
        copy: whether bodies are copied out; else they are views, overwritten `count - 1` messages later.

    Attributes:
        put: writes a message that fits, see `putter`.
        get: reads a message, see `getter`.
        room: the longest body that fits.
        bases: offset of each slot.
    """

    def __init__(self, memory: mmap, start: int, count: int, size: int, copy: bool) -> None:
        self.room = size - PREAMBLE
        self._view = memoryview(memory)
        self._longs = self._view.cast("Q")
        self.bases = [start + i * size for i in range(count)]
        self.put = putter(memory, self._longs, self.bases)
        self.get = getter(memory, self._view, self._longs, self.bases, self.room, copy)

    def release(self) -> None:
        """Let go of the memory."""
        self._longs.release()
        with suppress(BufferError):  # somebody holds a body
            self._view.release()


# Functions and not methods: what they need at every step is looked up once.


def putter(memory: mmap, longs: memoryview, bases: list[int]) -> Callable[..., None]:
    """What writes into slots that begin at these offsets."""
    count, pack_into = len(bases), _BEGIN.pack_into

    def put(number: int, type: int, body: Bytes, seq: int, episode: int) -> None:  # noqa: A002
        """Write a message: in this order a new begin and no end, the header, the body, the end."""
        base, length = bases[number % count], len(body)
        kind = type | _SHM_KIND
        pack_into(memory, base, number, _MAGIC, kind, length, seq, monotonic_ns(), episode, 0)
        start = base + PREAMBLE
        memory[start : start + length] = body
        longs[(base >> 3) + 1] = number

    return put


def getter(
    memory: mmap, view: memoryview, longs: memoryview, bases: list[int], room: int, copy: bool
) -> Callable[[int], Message | None]:
    """What reads from slots that begin at these offsets."""
    count, unpack_from = len(bases), _END.unpack_from

    def get(number: int) -> Message | None:
        """Read a message; None if it was overwritten meanwhile; `ShmCorrupt` if it stands still and is none."""
        base = bases[number % count]
        end, magic, kind, length, seq, sent, episode = unpack_from(memory, base)
        if end != number:
            return None
        if magic != _MAGIC or kind & ~0xFF != _SHM_KIND or length > room:
            return doubt(number, base >> 3)
        start = base + PREAMBLE
        body = view[start : start + length]
        # its own and to be written to, so that arrays need not be copied out of it again
        body = bytearray(body) if copy else body.toreadonly()
        if longs[base >> 3] != number:  # begun again before it was copied
            return None
        # as Message(...) would do it, in half the time
        return _new(Message, (kind & 0xFF, seq, episode, body, _SHM, sent))

    def doubt(number: int, index: int) -> None:
        if longs[index] == number and longs[index + 1] == number:
            raise ShmCorrupt(f"slot of message {number}: no header, or longer than {room}")

    return get


class Ring:
    """Both directions, as one of the two sides sees them.

    Args:
        memory: the region.
        plan: its sizes.
        head: what must stand at its beginning.
        is_agent: which side this is.
        copy: see `Lane`.

    Attributes:
        flags: where to look for something new: `flags[flag]` differs from `seen` when there is.
        seen: number of the newest message that was read.
        room: the longest body that can be written.
        dropped: how many messages were overwritten before they were read.
    """

    def __init__(self, memory: mmap, plan: Plan, head: bytes, is_agent: bool, copy: bool) -> None:
        self._memory, self._head = memory, head
        with memoryview(memory) as view:
            self._words, self._longs = view.cast("I"), view.cast("Q")
        actions = Lane(memory, SLOTS, ACTIONS, plan.action, copy)
        start = SLOTS + ACTIONS * plan.action
        observations = Lane(memory, start, OBSERVATIONS, plan.observation, copy)
        self._out, self._in = (actions, observations) if is_agent else (observations, actions)
        self.flags = self._longs if is_agent else self._words
        self.flag = NEWEST >> 3 if is_agent else REQUEST >> 2
        waits = (AGENT_WAITS >> 2, GAME_WAITS >> 2)
        self._own_waits, self._other_waits = waits if is_agent else waits[::-1]
        self._is_agent, self.seen, self._number, self.dropped = is_agent, 0, 0, 0
        self.room = self._out.room
        lock = threading.Lock()
        self._lock, self._unlock = lock.acquire, lock.release

    def set_waiting(self, waiting: bool) -> None:
        """Say whether this side wants the bell; look for a message after this, not before."""
        self._words[self._own_waits] = waiting
        self.fence()

    def fence(self) -> None:
        """Let the processor finish every write before any later read: taking a lock does that."""
        self._lock()
        self._unlock()

    def write(self, type: int, body: Bytes, seq: int, episode: int) -> bool:  # noqa: A002
        """Write a message that fits, and show it; returns whether the other side wants the bell."""
        if self._is_agent:
            self._out.put(seq, type, body, seq, episode)
            self._words[REQUEST >> 2] = seq
        else:
            self._number = number = self._number + 1
            self._out.put(number, type, body, seq, episode)
            self._longs[NEWEST >> 3] = number
            self._words[RESPONSE >> 2] = seq
        self._lock()  # a fence: the flag of the other must not be read before ours is out
        self._unlock()
        return self._words[self._other_waits] != 0

    def read(self) -> Message | None:
        """The newest message, or None if it was read before.

        Raises:
            ShmCorrupt: what stands there is not what the protocol says.
        """
        number = self.flags[self.flag]
        if number == self.seen:
            return None
        message = self._in.get(number)
        if message is None:
            number, message = self._read_again()
        if number != self.seen + 1:
            self.dropped += max(number - self.seen - 1, 0)
        self.seen = number
        return message

    def check(self) -> None:
        """Check that the head of the region is what it was.

        Raises:
            ShmCorrupt: it is not.
        """
        if self._memory[: len(self._head)] != self._head:
            raise ShmCorrupt("the head of the shared memory was overwritten")

    def release(self) -> None:
        """Let go of the memory."""
        self._out.release()
        self._in.release()
        self._longs.release()
        self._words.release()

    def _read_again(self) -> tuple[int, Message]:
        """What to do if the writer was faster: the newest is another one now."""
        self.check()
        for _ in range(TRIES):
            number = self.flags[self.flag]
            message = self._in.get(number)
            if message is not None:
                return number, message
        raise ShmCorrupt(f"message {self.flags[self.flag]} does not stand whole in its slot")


def _slot(body: int) -> int:
    return -(-(PREAMBLE + body) // 64) * 64
