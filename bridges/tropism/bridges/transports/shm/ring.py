"""What stands where in shared memory, and how messages get in and out whole: docs/bridge-protocol.md, section 9.

A writer fills a slot that no reader looks at, between two copies of its number; a reader copies, and believes what it
copied if both numbers are right before and after. Nobody ever waits for the other.
"""

from __future__ import annotations

import struct
import time
from typing import NamedTuple

from tropism.bridges.errors import ShmCorrupt
from tropism.bridges.protocol.bodies import ActionCodec, ObsCodec
from tropism.bridges.protocol.header import HEADER, MAGIC, Flag
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


def plan_of(view: memoryview, nonce: int, spec_hash: bytes) -> Plan:
    """Read and check the beginning of a region made by the agent.

    Raises:
        ShmCorrupt: it does not say what it should.
    """
    action, observation = HEAD.unpack_from(view)[6:9:2]
    plan = Plan(action, observation)
    if len(view) != plan.size or bytes(view[: HEAD.size]) != plan.head(spec_hash, nonce):
        raise ShmCorrupt("the head of the shared memory has another magic, size, nonce or layout")
    if action % 64 or observation % 64 or min(plan) < PREAMBLE:
        raise ShmCorrupt(f"slots of {action} and {observation} bytes")
    return plan


class Lane:
    """The slots of one direction.

    Args:
        view: the region.
        start: offset of the first slot.
        count: number of slots.
        size: bytes of a slot.
        copy: whether bodies are copied out; else they are views, overwritten `count - 1` messages later.
    """

    def __init__(self, view: memoryview, start: int, count: int, size: int, copy: bool) -> None:
        self.room = size - PREAMBLE
        self._view, self._longs, self._copy = view, view.cast("Q"), copy
        self._bases = [start + i * size for i in range(count)]
        self._count = count

    def put(self, number: int, type: int, body: Bytes, seq: int, episode: int) -> None:  # noqa: A002
        """Write a message that fits."""
        base, view, longs = self._bases[number % self._count], self._view, self._longs
        length = len(body)
        longs[base >> 3] = number
        HEADER.pack_into(
            view, base + 16, MAGIC, type, _SHM, 0, length, seq, time.monotonic_ns(), episode, 0
        )
        view[base + PREAMBLE : base + PREAMBLE + length] = body
        longs[(base >> 3) + 1] = number

    def get(self, number: int) -> Message | None:
        """Read a message; None if it was overwritten meanwhile.

        Raises:
            ShmCorrupt: it stands still and is none.
        """
        base, longs = self._bases[number % self._count], self._longs
        begin, end = base >> 3, (base >> 3) + 1
        if longs[begin] != number or longs[end] != number:
            return None
        fields = HEADER.unpack_from(self._view, base + 16)
        magic, type_, flags, _, length, seq, sent, episode, _ = fields
        if magic != MAGIC or flags != _SHM or length > self.room:
            return self._doubt(number, begin, end)
        body = self._view[base + PREAMBLE : base + PREAMBLE + length]
        body = bytearray(body) if self._copy else body.toreadonly()  # the reader may keep it
        if longs[begin] != number or longs[end] != number:
            return None
        return Message(type_, seq, episode, body, flags, sent)

    def release(self) -> None:
        """Let go of the memory."""
        self._longs.release()

    def _doubt(self, number: int, begin: int, end: int) -> None:
        if self._longs[begin] == number and self._longs[end] == number:
            raise ShmCorrupt(f"slot of message {number}: no header, or longer than {self.room}")


class Ring:
    """Both directions, as one of the two sides sees them.

    Args:
        view: the region.
        plan: its sizes.
        head: what must stand at its beginning.
        is_agent: which side this is.
        copy: see `Lane`.

    Attributes:
        flags: where to look for something new: `flags[flag]` differs from `seen` when there is.
        seen: number of the newest message that was read.
        dropped: how many messages were overwritten before they were read.
    """

    def __init__(
        self, view: memoryview, plan: Plan, head: bytes, is_agent: bool, copy: bool
    ) -> None:
        self._words, self._longs = view.cast("I"), view.cast("Q")
        actions = Lane(view, SLOTS, ACTIONS, plan.action, copy)
        start = SLOTS + ACTIONS * plan.action
        observations = Lane(view, start, OBSERVATIONS, plan.observation, copy)
        self._out, self._in = (actions, observations) if is_agent else (observations, actions)
        self.flags = self._longs if is_agent else self._words
        self.flag = NEWEST >> 3 if is_agent else REQUEST >> 2
        self._own_waits, self._other_waits = AGENT_WAITS >> 2, GAME_WAITS >> 2
        if not is_agent:
            self._own_waits, self._other_waits = self._other_waits, self._own_waits
        self._magic, _, self._nonce = struct.unpack_from("<3Q", head)
        self._is_agent, self.seen, self._number, self.dropped = is_agent, 0, 0, 0

    @property
    def room(self) -> int:
        """The longest body that can be written."""
        return self._out.room

    @property
    def other_waits(self) -> bool:
        """Whether the other side wants the bell."""
        return self._words[self._other_waits] != 0

    def set_waiting(self, waiting: bool) -> None:
        """Say whether this side wants the bell."""
        self._words[self._own_waits] = waiting

    def write(self, type: int, body: Bytes, seq: int, episode: int) -> None:  # noqa: A002
        """Write a message that fits, and show it."""
        if self._is_agent:
            self._out.put(seq, type, body, seq, episode)
            self._words[REQUEST >> 2] = seq
        else:
            self._number = number = self._number + 1
            self._out.put(number, type, body, seq, episode)
            self._longs[NEWEST >> 3] = number
            self._words[RESPONSE >> 2] = seq

    def read(self) -> Message | None:
        """The newest message, or None if it was read before.

        Raises:
            ShmCorrupt: what stands there is not what the protocol says.
        """
        flags, flag, seen = self.flags, self.flag, self.seen
        if flags[flag] == seen:
            return None
        longs = self._longs
        if longs[0] != self._magic or longs[2] != self._nonce:
            raise ShmCorrupt("the head of the shared memory was overwritten")
        for _ in range(TRIES):
            number = flags[flag]
            message = self._in.get(number)
            if message is not None:
                self.dropped += max(number - seen - 1, 0)
                self.seen = number
                return message
        raise ShmCorrupt(f"message {flags[flag]} does not stand whole in its slot")

    def release(self) -> None:
        """Let go of the memory."""
        self._out.release()
        self._in.release()
        self._longs.release()
        self._words.release()


def _slot(body: int) -> int:
    return -(-(PREAMBLE + body) // 64) * 64
