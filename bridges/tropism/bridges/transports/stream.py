"""Messages out of a stream of bytes and into it, without input or output: raw connections."""

from __future__ import annotations

import struct
from typing import Protocol

import numpy as np

from tropism.bridges.errors import ProtocolError
from tropism.bridges.progress import Progress
from tropism.bridges.protocol.header import (
    HEADER_SIZE,
    MAGIC,
    MAX_MESSAGE,
    Flag,
    Header,
    name_of,
    parse_header,
)
from tropism.bridges.protocol.messages import KNOWN, Message, is_known, open_body

Bytes = bytes | bytearray | memoryview
BUFFER = 65536
LONG = 4096
"""Bytes from which on a body is handed over with the buffer it was received into, not copied."""
JOINED_UP_TO = 16384
"""Bytes of a body whose copy is cheaper than a system call for two pieces."""
# A header whose magic, type, flags and stream are one number, and the types of those without flags by that number.
_PLAIN = struct.Struct("<QIIQII")
_PLAIN_TYPES = {int.from_bytes(MAGIC, "little") | number << 32: number for number in KNOWN}
_new = tuple.__new__


class Stream(Protocol):
    """How messages are cut out of what a socket receives, and put into what it sends.

    Attributes:
        max_message: the longest body accepted, in bytes.
        allowed: flags that the peer may use.
        skipped: how many messages of unknown types were skipped.
        replies: bytes that have to be sent back to the peer as they stand, oldest first.
        closed: whether the peer has said below the messages that no more will come.
        empty: whether it is known that `next` has nothing to give.
    """

    max_message: int
    allowed: int
    skipped: int
    replies: bytearray
    closed: bool
    empty: bool

    def room(self) -> memoryview:
        """Where the next bytes shall be received; never empty."""
        ...

    def received(self, count: int) -> None:
        """That many bytes now stand at the beginning of `room()`."""
        ...

    def next(self) -> Message | None:
        """The next whole message among what was received.

        Raises:
            ProtocolError: the stream is broken.
        """
        ...

    def progress(self) -> str:
        """Of what an unfinished message consists so far, for people; empty between messages."""
        ...

    def frame(self, header: bytes, body: Bytes) -> tuple[Bytes, Bytes]:
        """What has to be sent for one message, in two pieces; the second may be empty."""
        ...


def finish(stream: Stream, header: Header, raw: Bytes) -> Message | None:
    """A message from its header and its body as sent; None if its type is to be skipped."""
    if not is_known(header, stream.allowed):
        stream.skipped += 1
        return None
    body = open_body(header, raw, stream.max_message)
    return Message(header.type, header.seq, header.episode, body, header.flags, header.time)


def put(stream: Stream, data: bytes) -> None:
    """Give a stream bytes that were received before it existed."""
    while data:
        room = stream.room()
        count = min(len(room), len(data))
        room[:count] = data[:count]
        stream.received(count)
        data = data[count:]


class RawStream:
    """Messages one after the other, as they are.

    A body that does not fit the buffer is received straight into memory of its own, so the cost is linear in the
    number of bytes, whatever the sizes of messages and chunks.  Long messages of one length, as frames are, are received
    into buffers of just that length, which are given away with them: who keeps a body keeps nothing else.
    """

    def __init__(self) -> None:
        self.max_message, self.allowed = MAX_MESSAGE, int(Flag.MUST_UNDERSTAND)
        self.skipped, self.replies, self.closed, self.empty = 0, bytearray(), False, True
        self._buffer = memoryview(bytearray(BUFFER))
        self._start = self._end = self._expected = 0
        self._header: Header | None = None
        self._body: memoryview | None = None  # of a large message
        self._filled = 0

    def room(self) -> memoryview:  # noqa: D102
        if self._body is not None:
            return self._body[self._filled :]
        if not self._end:
            return self._buffer
        if self._end == len(self._buffer):  # move what is left, less than a message, to the front
            rest = bytes(self._buffer[self._start : self._end])
            self._buffer[: len(rest)] = rest
            self._start, self._end = 0, len(rest)
        return self._buffer[self._end :]

    def received(self, count: int) -> None:  # noqa: D102
        self.empty = False
        if self._body is None:
            self._end += count
        else:
            self._filled += count

    def next(self) -> Message | None:  # noqa: D102
        if self._header is None and self._end - self._start >= HEADER_SIZE:
            message = self._plain()
            if message is not None:
                return message
        while (header := self._whole()) is not None:
            raw = self._take(header.length)
            self._header = self._body = None
            message = finish(self, header, raw)
            if message is not None:
                return message
        return None

    def progress(self) -> str:  # noqa: D102
        if self._header is None:
            have = self._end - self._start
            return Progress.of("header", "header", have, HEADER_SIZE) if have else ""
        have = self._end - self._start if self._body is None else self._filled
        name = f"body of {name_of(self._header.type)}"
        return Progress.of(name, "payload", have, self._header.length)

    def frame(self, header: bytes, body: Bytes) -> tuple[Bytes, Bytes]:  # noqa: D102
        return (header + body, b"") if len(body) <= JOINED_UP_TO else (header, body)

    def _plain(self) -> Message | None:
        """The message in front if it is whole, of a known type and without flags: the usual one, in half the time."""
        start = self._start
        kind, length, seq, sent, episode, crc = _PLAIN.unpack_from(self._buffer, start)
        number, end = _PLAIN_TYPES.get(kind), start + HEADER_SIZE + length
        if number is None or crc or end > self._end or length > self.max_message:
            return None
        if length >= LONG and start == 0 and end == self._end:
            body = self._long(end)
        else:
            body = self._cut(start + HEADER_SIZE, end)
        return _new(Message, (number, seq, episode, body, 0, sent))  # as Message(...) would do it

    def _whole(self) -> Header | None:
        """The header in front, once all of its body is there."""
        header = self._header
        if header is None:
            if self._end - self._start < HEADER_SIZE:
                return None
            header = self._begin()
        have = self._end - self._start if self._body is None else self._filled
        return None if have < header.length else header

    def _begin(self) -> Header:
        header = parse_header(self._buffer[self._start : self._end], self.max_message)
        is_known(header, self.allowed)  # refuse at once what will never be taken
        self._start += HEADER_SIZE
        self._header = header
        if header.length > len(self._buffer) - HEADER_SIZE:
            self._begin_large(header.length)
        return header

    def _begin_large(self, length: int) -> None:
        self._body = np.empty(length, np.uint8).data  # not touched before bytes come
        have = min(self._end - self._start, length)
        self._body[:have] = self._buffer[self._start : self._start + have]
        self._filled = have
        self._start += have
        if self._start == self._end:
            self._start = self._end = 0
        if len(self._buffer) < BUFFER:  # another length was expected
            self._buffer = memoryview(bytearray(BUFFER))

    def _take(self, length: int) -> Bytes:
        if self._body is not None:
            return self._body
        return self._cut(self._start, self._start + length)

    def _cut(self, start: int, end: int) -> bytearray:
        """A copy of these bytes, which are the next ones: the reader may keep it."""
        body = bytearray(self._buffer[start:end])
        self._start = end
        if end == self._end:
            self._start, self._end, self.empty = 0, 0, True
        return body

    def _long(self, end: int) -> Bytes:
        """The body of a message that is all there is; after two of a length a third is expected."""
        if end == len(self._buffer):
            body, again = self._buffer[HEADER_SIZE:], True
        else:
            body, again, self._expected = self._cut(HEADER_SIZE, end), end == self._expected, end
        if again:
            self._buffer = np.empty(end, np.uint8).data
        self._start, self._end, self.empty = 0, 0, True
        return body


def check_end(stream: Stream) -> None:
    """Tell what it means that no more bytes will come.

    Raises:
        ProtocolError: the end is inside a message.
    """
    where = stream.progress()
    if where:
        raise ProtocolError(f"EOF inside {where}")
