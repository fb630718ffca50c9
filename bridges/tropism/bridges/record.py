"""Sessions on disk: a `.gbr` file holds every message of a session as it went over the wire.

A file is the magic "GBRLOG1", a line of JSON with facts for people, and records of `u8 direction`, 7 zero bytes,
`u64 time` (monotonic, nanoseconds), `u32 length`, `u32 crc32` and the raw message, header and body, uncompressed.
Each record is written at once and unbuffered, so a process that is killed leaves a file that is readable up to its last
whole record. A file that was closed ends with a record of direction END.

Only what comes after the opening is recorded, beginning with SPEC: no secret, no proof of one.
"""

from __future__ import annotations

import json
import os
import struct
import time
import zlib
from enum import IntEnum
from pathlib import Path
from typing import IO, Any

from tropism.bridges.errors import RecordingError
from tropism.bridges.forks import FORKS
from tropism.bridges.protocol.header import Type
from tropism.bridges.protocol.messages import Message, encode

MAGIC = b"GBRLOG1\n"
HEAD = struct.Struct("<B7xQII")


class Direction(IntEnum):
    """Who sent a message; END closes the file."""

    TO_GAME = 0
    TO_AGENT = 1
    END = 2


class Recorder:
    """Writes a recording; a context manager.

    Args:
        path: of the file, which must not exist.
        facts: anything JSON can hold, for people.

    Raises:
        RecordingError: the file cannot be written, or exists.
    """

    def __init__(self, path: str | os.PathLike[str], facts: dict[str, Any] | None = None) -> None:
        self.path, self._forks, self._played = Path(path), FORKS.count, False
        try:
            self._file: IO[bytes] | None = self.path.open("xb", buffering=0)
        except OSError as error:
            raise RecordingError(f"cannot record to {self.path}: {error.strerror}") from error
        self._write(MAGIC + json.dumps(facts or {}).encode() + b"\n")

    def write(self, direction: Direction, type: int, body: Any, seq: int, episode: int) -> None:  # noqa: A002
        """Append a message.

        Raises:
            RecordingError: the disk is full, say.
        """
        self._append(direction, encode(type, body, seq, episode))
        self._played |= type != Type.SPEC

    def close(self) -> None:
        """Mark the end and make it last; a second call does nothing.

        Nothing is kept of a game that did not come up, or was not the right one, so that it can be tried again.
        """
        if self._file is None:
            return
        with self._file as file:
            try:
                if self._forks == FORKS.count:  # the end is not for a forked child to tell
                    self._append(Direction.END, b"")
                    os.fsync(file.fileno())
            finally:
                self._file = None
        if not self._played and self._forks == FORKS.count:
            self.path.unlink(missing_ok=True)

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _append(self, direction: Direction, raw: bytes) -> None:
        head = HEAD.pack(direction, time.monotonic_ns(), len(raw), zlib.crc32(raw))
        self._write(head + raw)

    def _write(self, data: bytes) -> None:
        if self._file is None:
            raise RecordingError(f"{self.path} is closed")
        try:
            written = self._file.write(data)
        except OSError as error:
            raise RecordingError(f"cannot record to {self.path}: {error.strerror}") from error
        if written != len(data):
            raise RecordingError(f"cannot record to {self.path}: the disk is full")


class Tee:
    """A channel, `Connection` or `ShmChannel`, whose messages are recorded; all else is the channel's own.

    Args:
        channel: what really sends and receives.
        recorder: where to.
        role: "agent" or "game": whose channel it is.
    """

    def __init__(self, channel: Any, recorder: Recorder, role: str) -> None:
        directions = (Direction.TO_GAME, Direction.TO_AGENT)
        self._out, self._in = directions if role == "agent" else directions[::-1]
        self._channel, self._recorder = channel, recorder
        self._put_back = 0

    def send(self, type: int, body: Any = b"", seq: int = 0, episode: int = 0, **more: Any) -> Any:  # noqa: A002
        """Record a message and send it: what was sent last may be what has killed the game."""
        self._recorder.write(self._out, type, body, seq, episode)
        return self._channel.send(type, body, seq, episode, **more)

    def receive(self, *args: Any, **kwargs: Any) -> Message:
        """Receive a message and record it."""
        message = self._channel.receive(*args, **kwargs)
        self._note(message)
        return message

    def take(self) -> Message | None:
        """The next message if it is there already, else None; recorded."""
        message = self._channel.take()
        if message is not None:
            self._note(message)
        return message

    def unread(self, message: Message) -> None:
        """Put a message back, to be received next; it is not recorded again."""
        self._put_back += 1
        self._channel.unread(message)

    def _note(self, message: Message) -> None:
        if self._put_back:
            self._put_back -= 1
            return
        self._recorder.write(self._in, message.type, message.body, message.seq, message.episode)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._channel, name)
