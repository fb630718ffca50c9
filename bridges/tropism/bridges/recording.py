"""Reading recorded sessions: `.gbr` files, as `record` writes them."""

from __future__ import annotations

import hashlib
import json
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

from tropism.bridges.errors import BridgeError, RecordingError
from tropism.bridges.protocol.bodies import ObsCodec
from tropism.bridges.protocol.header import HEADER_SIZE, Type, parse_header
from tropism.bridges.protocol.messages import Message
from tropism.bridges.protocol.spec import Spec
from tropism.bridges.record import HEAD, MAGIC, Direction

LONGEST_FACTS = 65_536
LONGEST = 2**30
"""The longest message a file is believed to hold, in bytes."""


class Record(NamedTuple):
    """A recorded message; `time` is the recorder's monotonic clock in nanoseconds."""

    direction: Direction
    time: int
    message: Message


class Summary(NamedTuple):
    """What a recording holds; `sha256` is that of all rewards, flags and observations in order."""

    messages: int
    steps: int
    episodes: int
    complete: bool
    sha256: str


class Recording:
    """Reads a recording; iterate over its `Record`s as often as wanted.

    Attributes:
        facts: what the recorder said of it.

    Raises:
        RecordingError: it is none. Iterating raises it at the first record that was altered.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        try:
            with self.path.open("rb") as file:
                self.facts = self._read_facts(file)
        except OSError as error:
            raise RecordingError(f"cannot read {self.path}: {error.strerror}") from error

    @property
    def spec(self) -> Spec:
        """The specification of the game.

        Raises:
            RecordingError: the recording ends before it.
        """
        for record in self:
            if record.message.type == Type.SPEC:
                return Spec.from_bytes(bytes(record.message.body))
        raise RecordingError(f"{self.path} holds no specification of the game")

    def __iter__(self) -> Iterator[Record]:
        for record in self._records():
            if record.direction != Direction.END:
                yield record

    def summary(self) -> Summary:
        """Read all of it."""
        digest, codec = hashlib.sha256(), ObsCodec(self.spec)
        messages = steps = episodes = 0
        complete = False
        for direction, _, message in self._records():
            complete = direction == Direction.END
            messages += not complete
            steps += message.type == Type.STEP
            episodes += message.type == Type.RESET
            if message.type == Type.OBS:
                digest.update(memoryview(message.body)[32 : codec.size])
        return Summary(messages, steps, episodes, complete, digest.hexdigest())

    def _records(self) -> Iterator[Record]:
        with self.path.open("rb") as file:
            self._read_facts(file)
            while len(head := file.read(HEAD.size)) == HEAD.size:
                offset = file.tell() - HEAD.size
                direction, when, length, crc = HEAD.unpack(head)
                if length > LONGEST or direction > Direction.END:
                    raise RecordingError(f"{self.path} was altered at byte {offset}")
                if len(raw := file.read(length)) < length:
                    return
                if zlib.crc32(raw) != crc:
                    raise RecordingError(f"{self.path} was altered at byte {offset}")
                yield Record(Direction(direction), when, self._message(raw, offset))

    def _message(self, raw: bytes, offset: int) -> Message:
        if not raw:  # END
            return Message(0)
        try:
            header = parse_header(raw, LONGEST)
        except (BridgeError, struct.error) as error:
            raise RecordingError(f"{self.path}: no message at byte {offset}: {error}") from None
        return Message(header.type, header.seq, header.episode, raw[HEADER_SIZE:])

    def _read_facts(self, file: IO[bytes]) -> dict[str, Any]:
        if file.read(len(MAGIC)) != MAGIC:
            raise RecordingError(f"{self.path} is no recorded session (.gbr)")
        try:
            return json.loads(file.readline(LONGEST_FACTS))
        except ValueError:
            raise RecordingError(f"{self.path} was cut off in its first line") from None
