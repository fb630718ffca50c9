"""WebSockets (RFC 6455) as far as the bridge needs them: one message in each binary message.

Neither subprotocols nor extensions; either role. See docs/bridge-protocol.md, section 1.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from secrets import token_bytes

import numpy as np

from tropism.bridges.errors import MessageTooLarge, ProtocolError
from tropism.bridges.progress import Progress
from tropism.bridges.protocol.header import HEADER_SIZE, MAX_MESSAGE, Flag, parse_header
from tropism.bridges.protocol.messages import Message
from tropism.bridges.transports.stream import BUFFER, Bytes, finish

CONTINUATION, BINARY, CLOSE, PING, PONG = 0, 2, 8, 9, 10
LONGEST_CONTROL = 125


class WebSocketStream:
    """Messages inside WebSocket frames, after the upgrade; see `Stream` for its interface.

    Args:
        is_client: whether this side dialled: a client masks what it sends, a server must not.
    """

    def __init__(self, is_client: bool) -> None:
        self.max_message, self.allowed = MAX_MESSAGE, int(Flag.MUST_UNDERSTAND)
        self.skipped, self.replies, self.closed = 0, bytearray(), False
        self.empty = False  # `next` may have to answer a ping or tell of the end
        self._is_client = is_client
        self._buffer = memoryview(bytearray(BUFFER))
        self._bytes = bytearray()  # received, not taken apart yet
        self._parts: bytearray | None = None  # of a binary message under way
        self._payload: memoryview | None = None  # of a large frame under way
        self._filled = 0

    def room(self) -> memoryview:  # noqa: D102
        rest = None if self._payload is None else self._payload[self._filled :]
        return rest or self._buffer

    def received(self, count: int) -> None:  # noqa: D102
        if self._payload is not None and self._filled < len(self._payload):
            self._filled += count
        else:
            self._bytes += self._buffer[:count]

    def next(self) -> Message | None:  # noqa: D102
        while not self.closed and (frame := self._frame()) is not None:
            raw = self._collect(*frame)
            message = None if raw is None else self._message(raw)
            if message is not None:
                return message
        return None

    def progress(self) -> str:  # noqa: D102
        if self.closed or (self._parts is None and not self._bytes):
            return ""
        before, head = len(self._parts or b""), self._read_head()
        have = before + len(self._bytes) + self._filled
        whole = None if head is None else before + head[2] + head[3]
        part = "header" if head is None else "payload"
        return Progress.of("a WebSocket message", part, have, whole)

    def frame(self, header: bytes, body: Bytes) -> tuple[Bytes, Bytes]:  # noqa: D102
        if self._is_client:
            return _frame(BINARY, (header, body), masked=True), b""
        return _head(BINARY, len(header) + len(body), 0) + header, body

    def _message(self, raw: bytearray | memoryview) -> Message | None:
        if len(raw) < HEADER_SIZE:
            raise ProtocolError(f"a WebSocket message of {len(raw)} bytes holds no header")
        header = parse_header(raw, self.max_message)
        if header.length != len(raw) - HEADER_SIZE:
            text = f"{len(raw)} bytes hold a message of {HEADER_SIZE} + {header.length}"
            raise ProtocolError(f"a WebSocket message of {text}")
        return finish(self, header, memoryview(raw)[HEADER_SIZE:])

    def _collect(
        self, final: bool, opcode: int, payload: bytearray | memoryview
    ) -> bytearray | memoryview | None:
        """Take one frame; returns a whole binary message, if this ends one."""
        if opcode >= CLOSE:
            self._control(opcode, payload)
            return None
        if opcode not in (BINARY, CONTINUATION) or (opcode == BINARY) != (self._parts is None):
            raise ProtocolError(f"a WebSocket frame of kind {opcode}, where it may not stand")
        if final and self._parts is None:
            return payload
        whole = bytearray() if self._parts is None else self._parts
        whole += payload
        self._parts = None if final else whole
        return whole if final else None

    def _control(self, opcode: int, payload: bytearray | memoryview) -> None:
        if opcode == PING:
            self.replies += _frame(PONG, (payload,), self._is_client)
        elif opcode == CLOSE:
            self.replies += _frame(CLOSE, (payload[:2],), self._is_client)
            self.closed = True
        elif opcode != PONG:
            raise ProtocolError(f"a WebSocket frame of unknown kind {opcode}")

    def _frame(self) -> tuple[bool, int, bytearray | memoryview] | None:
        """Cut the frame in front off, once it is whole: whether it is final, its kind, its payload."""
        head = self._read_head()
        if head is None:
            return None
        final, opcode, start, length = head
        payload = self._take(start, length)
        if payload is None:
            return None
        if not self._is_client:
            _mask(payload, bytes(self._bytes[start - 4 : start]))
        del self._bytes[: start if self._payload is not None else start + length]
        self._payload, self._filled = None, 0
        return final, opcode, payload

    def _take(self, start: int, length: int) -> bytearray | memoryview | None:
        """The payload of the frame in front, once it is whole; a large one is received into memory of its own."""
        if self._payload is None and length > BUFFER:
            self._payload = np.empty(length, np.uint8).data
            self._filled = min(len(self._bytes) - start, length)
            self._payload[: self._filled] = self._bytes[start : start + self._filled]
            del self._bytes[start : start + self._filled]
        if self._payload is not None:
            return self._payload if self._filled == length else None
        return self._bytes[start : start + length] if len(self._bytes) >= start + length else None

    def _read_head(self) -> tuple[bool, int, int, int] | None:
        """Whether the frame in front is final, its kind, where its payload begins, and its length."""
        if len(self._bytes) < 2:
            return None
        first, second = self._bytes[0], self._bytes[1]
        self._check_bits(first, second)
        wide = {126: 2, 127: 8}.get(second & 127, 0)
        if len(self._bytes) < 2 + wide:
            return None
        length = int.from_bytes(self._bytes[2 : 2 + wide], "big") if wide else second & 127
        self._check_length(length)
        start = 2 + wide + (0 if self._is_client else 4)  # after the key
        if len(self._bytes) < start:
            return None
        return bool(first & 128), first & 15, start, length

    def _check_bits(self, first: int, second: int) -> None:
        if first & 0x70:
            raise ProtocolError("a WebSocket frame with reserved bits, without an extension")
        if bool(second & 128) == self._is_client:
            raise ProtocolError("a WebSocket frame must be masked by the client, and only by it")
        if first & 15 >= CLOSE and (second & 127 > LONGEST_CONTROL or not first & 128):
            raise ProtocolError("a WebSocket control frame is long or in pieces")

    def _check_length(self, length: int) -> None:
        whole = length + len(self._parts or b"")
        if whole > self.max_message + HEADER_SIZE:
            text = f"a WebSocket message of {whole} bytes, the most is {self.max_message}"
            raise MessageTooLarge(f"{text} + {HEADER_SIZE}")


def _frame(opcode: int, parts: Sequence[Bytes], masked: bool) -> bytearray:
    """A whole frame that ends its message."""
    head = _head(opcode, sum(map(len, parts)), 128 * masked)
    if not masked:
        return bytearray().join((head, *parts))
    key = token_bytes(4)
    whole = bytearray().join((head, key, *parts))  # once: large pieces of memory are dear
    _mask(whole, key, len(head) + 4)
    return whole


def _head(opcode: int, length: int, mask_bit: int) -> bytes:
    if length < 126:
        return bytes((128 | opcode, mask_bit | length))
    if length < 65536:
        return struct.pack(">BBH", 128 | opcode, mask_bit | 126, length)
    return struct.pack(">BBQ", 128 | opcode, mask_bit | 127, length)


def _mask(data: bytearray | memoryview, key: bytes, start: int = 0) -> None:
    """Combine in place with the key, repeated, by exclusive or, from `start` on."""
    count = (len(data) - start) // 4
    if count:
        np.frombuffer(data, np.uint32, count, start)[:] ^= np.frombuffer(key, np.uint32)
    for i in range(4 * count, len(data) - start):
        data[start + i] ^= key[i & 3]
