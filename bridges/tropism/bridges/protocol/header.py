"""The header of 32 bytes before every message: docs/bridge-protocol.md, section 2."""

from __future__ import annotations

import struct
import time as clock
from enum import IntEnum, IntFlag
from typing import NamedTuple

from tropism.bridges.errors import BadMagic, EndianMismatch, MessageTooLarge, ProtocolError

MAGIC = b"GBR1"
HEADER = struct.Struct("<4sBBHIIQII")
HEADER_SIZE = HEADER.size
MAX_MESSAGE = 16_777_216
"""The longest body, in bytes, until WELCOME says otherwise."""


class Type(IntEnum):
    """Types of messages."""

    HELLO = 1
    AUTH = 3
    WELCOME = 4
    SPEC = 5
    SHM_OFFER = 6
    SHM_ACK = 7
    READY = 8
    RESET = 16
    STEP = 17
    OBS = 18
    ACTION = 19
    EVENT = 20
    CALL = 21
    REPLY = 22
    PING = 32
    PONG = 33
    BELL = 34
    ERROR = 48
    CLOSE = 63


class Flag(IntFlag):
    """Flags of a message."""

    MUST_UNDERSTAND = 1
    CRC = 2
    ZLIB = 4
    SHM = 8


ALL_FLAGS = 15
_CRC = 2


class Header(NamedTuple):
    """A header, field by field (without the magic)."""

    type: int
    flags: int
    stream: int
    length: int
    seq: int
    time: int
    episode: int
    crc: int


def pack_header(
    type: int,  # noqa: A002
    length: int,
    seq: int = 0,
    episode: int = 0,
    flags: int = 0,
    time: int | None = None,
    crc: int = 0,
) -> bytes:
    """Write a header.

    Args:
        type: of the message.
        length: of the body in bytes, as sent.
        seq: number of the request, 0 where it has no meaning.
        episode: number of the episode.
        flags: bits of `Flag`.
        time: the sender's monotonic clock in nanoseconds; None: now.
        crc: CRC-32 of the body if the flag is set.
    """
    if time is None:
        time = clock.monotonic_ns()
    return HEADER.pack(MAGIC, type, flags, 0, length, seq, time, episode, crc)


def parse_header(buffer: bytes | bytearray | memoryview, max_message: int = MAX_MESSAGE) -> Header:
    """Read and check the first 32 bytes of a buffer.

    Raises:
        BadMagic: no message begins here (`EndianMismatch`: one in the wrong byte order).
        MessageTooLarge: the body is announced longer than `max_message`.
        ProtocolError: unknown flags, a stream or a checksum where there must be none.
    """
    magic, *fields = HEADER.unpack_from(buffer)
    header = Header._make(fields)
    if magic != MAGIC:
        raise _bad_magic(magic)
    if header.length > max_message:
        text = f"{name_of(header.type)} of {header.length} bytes, the most is {max_message}"
        raise MessageTooLarge(text)
    if header.flags > ALL_FLAGS:
        raise ProtocolError(f"{name_of(header.type)} with unknown flags {header.flags:#04x}")
    if header.stream:
        raise ProtocolError(f"{name_of(header.type)} with stream {header.stream}, not 0")
    if header.crc and not header.flags & _CRC:
        raise ProtocolError(f"{name_of(header.type)} with a checksum but without its flag")
    return header


def name_of(type: int) -> str:  # noqa: A002
    """The name of a type of message, for people."""
    try:
        return Type(type).name
    except ValueError:
        return f"type {type}"


def is_newer(a: int, b: int) -> bool:
    """Whether sequence number `a` comes after `b`, in serial-number order modulo 2^32."""
    return 0 < (a - b) & 0xFFFFFFFF < 0x80000000


def next_seq(seq: int) -> int:
    """The number after `seq`; after 4,294,967,295 comes 1."""
    return seq + 1 if seq < 0xFFFFFFFF else 1


def _bad_magic(magic: bytes) -> BadMagic:
    if magic == MAGIC[::-1]:
        return EndianMismatch("the peer sends integers in the wrong byte order (big-endian)")
    return BadMagic(f"no message: it begins with {magic.hex(' ')}, not {MAGIC.hex(' ')} (GBR1)")
