"""Whole messages to and from bytes, without any transport: docs/bridge-protocol.md, section 2."""

from __future__ import annotations

import zlib
from typing import NamedTuple

from tropism.bridges.errors import (
    BadChecksum,
    BridgeError,
    MessageTooLarge,
    ProtocolError,
    UnsupportedMessage,
)
from tropism.bridges.protocol.header import (
    HEADER_SIZE,
    MAX_MESSAGE,
    Flag,
    Header,
    Type,
    name_of,
    pack_header,
    parse_header,
)
from tropism.bridges.protocol.jsons import read_json, write_json

__all__ = ["Decoder", "Message", "encode", "is_known", "open_body", "read_json", "write_json"]

Bytes = bytes | bytearray | memoryview
KNOWN = frozenset(int(t) for t in Type)
ON_A_CONNECTION = int(Flag.MUST_UNDERSTAND | Flag.CRC | Flag.ZLIB)
_CRC, _ZLIB, _MUST = int(Flag.CRC), int(Flag.ZLIB), int(Flag.MUST_UNDERSTAND)  # enums are slow


class Message(NamedTuple):
    """A message as its receiver sees it: the body is checked and inflated.

    `time` is the sender's clock in nanoseconds.
    """

    type: int
    seq: int = 0
    episode: int = 0
    body: Bytes = b""
    flags: int = 0
    time: int = 0


def encode(
    type: int,  # noqa: A002
    body: Bytes = b"",
    seq: int = 0,
    episode: int = 0,
    *,
    crc: bool = False,
    compress: bool = False,
    must_understand: bool = False,
    time: int | None = None,
) -> bytes:
    """Write a message: header and body.

    Args:
        type: of the message.
        body: as its receiver shall see it.
        seq: number of the request.
        episode: number of the episode.
        crc: add a checksum (only if the capability was granted).
        compress: deflate the body at zlib's fastest level (only if granted).
        must_understand: a receiver that does not know the type must refuse it.
        time: the sender's monotonic clock in nanoseconds; None: now.
    """
    flags = int(must_understand)
    checksum = 0
    if compress:
        flags |= _ZLIB
        body = zlib.compress(body, 1)
    if crc:
        flags |= _CRC
        checksum = zlib.crc32(body)
    return b"".join((pack_header(type, len(body), seq, episode, flags, time, checksum), body))


def is_known(header: Header, allowed: int = ON_A_CONNECTION) -> bool:
    """Whether the message is of a type known here; one that is not shall be skipped.

    Args:
        header: a checked one.
        allowed: the flags that may be used here and now, as granted by WELCOME.

    Raises:
        UnsupportedMessage: the type is not known and the sender insists that it be.
        ProtocolError: a flag is used that was not granted.
    """
    if header.flags & ~allowed:
        excess = Flag(header.flags & ~allowed)
        raise ProtocolError(f"{name_of(header.type)} with flags not granted: {excess!r}")
    if header.type in KNOWN:
        return True
    if header.flags & _MUST:
        raise UnsupportedMessage(f"a message of {name_of(header.type)} that must be understood")
    return False


def open_body(header: Header, raw: Bytes, max_message: int = MAX_MESSAGE) -> Bytes:
    """Check a body as it was sent, and inflate it if it is compressed.

    Returns:
        `raw` itself if it is not compressed.

    Raises:
        BadChecksum: the checksum is wrong.
        MessageTooLarge: it inflates to more than `max_message` bytes; no more than that are made.
        ProtocolError: it is not one whole zlib stream.
    """
    if header.flags & _CRC and zlib.crc32(raw) != header.crc:
        raise BadChecksum(f"{name_of(header.type)} of {len(raw)} bytes has a wrong checksum")
    if header.flags & _ZLIB:
        return _inflate(raw, max_message, name_of(header.type))
    return raw


def _inflate(raw: Bytes, max_message: int, name: str) -> bytes:
    stream = zlib.decompressobj()
    try:
        body = stream.decompress(raw, max_message + 1)
    except zlib.error as error:
        raise ProtocolError(f"{name} cannot be inflated: {error}") from None
    if len(body) > max_message:
        raise MessageTooLarge(f"{name} inflates to more than {max_message} bytes")
    if not stream.eof or stream.unused_data:
        raise ProtocolError(f"{name} is not one whole zlib stream")
    return body


class Decoder:
    """Cuts a stream of bytes into messages; does no input or output itself.

    `feed` it chunks of any size, then call `next` until it returns None. After an error it repeats that error:
    a broken stream has no next message.

    Attributes:
        max_message: the longest body accepted, in bytes.
        allowed: the flags that may be used, as granted by WELCOME.
        skipped: how many messages of unknown types were skipped.
    """

    def __init__(self, max_message: int = MAX_MESSAGE, allowed: int = ON_A_CONNECTION) -> None:
        self.max_message = max_message
        self.allowed = allowed
        self.skipped = 0
        self._buffer = bytearray()
        self._header: Header | None = None
        self._error: BridgeError | None = None

    def feed(self, data: Bytes) -> None:
        """Add bytes as they came."""
        self._buffer += data

    def next(self) -> Message | None:
        """The next whole message, or None until more bytes are fed.

        Raises:
            ProtocolError: the stream is broken.
        """
        if self._error is not None:
            raise self._error
        try:
            return self._next()
        except BridgeError as error:
            self._error = error
            self._buffer.clear()
            raise

    def eof(self) -> None:
        """Tell it that the stream has ended.

        Raises:
            ProtocolError: it has ended inside a message.
        """
        have = len(self._buffer)
        if self._header is not None:
            where = f"body of {name_of(self._header.type)}, {have}/{self._header.length} bytes"
        elif have:
            where = f"header, {have}/{HEADER_SIZE} bytes"
        else:
            return
        raise ProtocolError(f"EOF inside {where}")

    def _next(self) -> Message | None:
        while (header := self._whole()) is not None:
            raw = self._take(header.length)
            self._header = None
            if is_known(header, self.allowed):
                body = open_body(header, raw, self.max_message)
                return Message(
                    header.type, header.seq, header.episode, body, header.flags, header.time
                )
            self.skipped += 1
        return None

    def _whole(self) -> Header | None:
        """The header of the message in front, once all of it is there."""
        if self._header is None and len(self._buffer) >= HEADER_SIZE:
            self._header = parse_header(self._buffer, self.max_message)
            is_known(self._header, self.allowed)  # refuse at once what will never be taken
            del self._buffer[:HEADER_SIZE]
        if self._header is None or len(self._buffer) < self._header.length:
            return None
        return self._header

    def _take(self, count: int) -> bytes:
        body = bytes(memoryview(self._buffer)[:count])
        del self._buffer[:count]  # cheap: bytearray only moves its start
        return body
