"""Research v1, the format: one small file in shared memory, for one game and one agent in lock-step.

Offsets are in docs/bridge-legacy.md. One word, `flag`, is lock and mailbox at once and both sides write it. That
is safe if each side writes only when it is its turn: the agent when the flag is OBS_READY, the game in all other cases. The
agent here (`research_agent`) keeps to that, which is enough to lose nothing even with the original game
loop. Facts after https://github.com/vladdiethecoder/MetaBonk, no code of it.
"""

from __future__ import annotations

import mmap
import os
import struct
import threading
import time
from collections.abc import Callable
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tropism.bridges.errors import BridgeClosed, ShmCorrupt, timeout_of

HEADER_SIZE = 0x20
ACTION = struct.Struct("<6f")
DEFAULT_SIZE = (84, 84)
SIDE_MAX = 8192
DIRECTORY_VARIABLE, INSTANCE_VARIABLE = "MEGABONK_RESEARCH_SHM_DIR", "MEGABONK_INSTANCE_ID"

_FLAG = struct.Struct("<i")
FACTS = struct.Struct("<f5i")  # from 0x08: reward, done, step, time, width, height
FACTS_AT = 0x08
_PAUSES = (0.0, 0.0, 0.0, 0.0, 0.0002)


class Word(IntEnum):
    """Values of `flag`."""

    WAIT = 0
    ACTION_READY = 1
    OBS_READY = 2
    RESET = 3
    TERMINATED = 4


class Facts(NamedTuple):
    """The header behind the flag; `time_ms` since the level was loaded, `width` and `height` in pixels."""

    reward: float = 0.0
    done: int = 0
    step: int = 0
    time_ms: int = 0
    width: int = DEFAULT_SIZE[1]
    height: int = DEFAULT_SIZE[0]


def default_path(instance: str | None = None) -> Path:
    """Where the file of an instance is, by the environment variables that the original reads."""
    name = os.environ.get(INSTANCE_VARIABLE, "0") if instance is None else instance
    return Path(os.environ.get(DIRECTORY_VARIABLE) or "/dev/shm") / f"megabonk_env_{name}"


def total_size(height: int, width: int) -> int:
    """Bytes of the file for pictures of `height` x `width`."""
    return HEADER_SIZE + height * width * 3 + ACTION.size


class Segment:
    """The file, mapped; plain reads and writes of its fields.

    Args:
        path: of an existing file that is at least as long as its header says.

    Raises:
        ShmCorrupt: the file is too short, or its picture too large.
        OSError: it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        descriptor = os.open(path, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))
        try:
            size = os.fstat(descriptor).st_size
            if size < HEADER_SIZE:
                raise ShmCorrupt(f"{path} has {size} bytes, the header alone {HEADER_SIZE}")
            self._map = mmap.mmap(descriptor, size)
        finally:
            os.close(descriptor)
        self.path, self.closed, self._fence = path, False, threading.Lock()
        self.size = self._picture_size()

    @property
    def flag(self) -> int:
        """The flag; what the other side wrote before it can be read after it."""
        self._check()
        (flag,) = _FLAG.unpack_from(self._map, 0)
        with self._fence:
            return flag

    @flag.setter
    def flag(self, value: int) -> None:
        self._check()
        with self._fence:  # an atomic operation, hence a fence: all written before is seen before
            pass
        _FLAG.pack_into(self._map, 0, value)  # only its lowest byte ever changes, so it cannot tear

    @property
    def facts(self) -> Facts:
        """The rest of the header."""
        self._check()
        return Facts(*FACTS.unpack_from(self._map, FACTS_AT))

    @facts.setter
    def facts(self, facts: Facts) -> None:
        self._check()
        FACTS.pack_into(self._map, FACTS_AT, *facts)

    def picture(self) -> np.ndarray:
        """A copy of the picture, uint8 (height, width, 3), rows as the game wrote them."""
        data = self._map[HEADER_SIZE : self._action_at]
        return np.frombuffer(bytearray(data), np.uint8).reshape(*self.size, 3)

    def write_picture(self, pixels: np.ndarray) -> None:
        """Write a picture of the right shape and type."""
        self._map[HEADER_SIZE : self._action_at] = pixels.tobytes()

    def check_size(self, facts: Facts) -> None:
        """Refuse facts of a picture that is not the one that was mapped.

        Raises:
            ShmCorrupt: another size.
        """
        if (facts.height or self.size[0], facts.width or self.size[1]) != self.size:
            raise ShmCorrupt(f"{self.path}: pictures of {self.size} became {facts}")

    @property
    def action(self) -> tuple[float, ...]:
        """Six floats: movement (2), buttons (4)."""
        return ACTION.unpack_from(self._map, self._action_at)

    @action.setter
    def action(self, values: tuple[float, ...]) -> None:
        ACTION.pack_into(self._map, self._action_at, *values)

    def wait(self, ready: Callable[[int], bool], timeout: float, phase: str) -> int:
        """Poll the flag until it is one that is waited for, and return it.

        Raises:
            BridgeTimeout: of the phase; the other side did not write it in time.
        """
        start, turn = time.monotonic(), 0
        while not ready(flag := self.flag):
            if (waited := time.monotonic() - start) >= timeout:
                raise timeout_of(phase, waited, None, f"the flag of {self.path} stays {flag}")
            time.sleep(_PAUSES[min(turn, len(_PAUSES) - 1)])
            turn += 1
        return flag

    def close(self) -> None:
        """Unmap; twice does no harm."""
        self.closed = True
        self._map.close()

    @property
    def _action_at(self) -> int:
        return HEADER_SIZE + self.size[0] * self.size[1] * 3

    def _check(self) -> None:
        if self.closed:
            raise BridgeClosed(f"{self.path} is closed")

    def _picture_size(self) -> tuple[int, int]:
        """Height and width; older games leave them 0 and mean the default, others before their first frame."""
        facts, there = self.facts, len(self._map)
        size = (facts.height, facts.width) if facts.height and facts.width else DEFAULT_SIZE
        known = facts.height or self.flag != Word.WAIT or there == total_size(*DEFAULT_SIZE)
        possible = all(0 < side <= SIDE_MAX for side in size) and total_size(*size) <= there
        if known and possible:
            return size
        self.close()
        what = f"a picture of {size[0]} x {size[1]}" if known else "a picture of unknown size"
        raise ShmCorrupt(f"{self.path}: {what} in {there} bytes")
