"""A raw connection to the game under test: sends what no honest agent would, and trusts nothing that comes."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import time
from enum import Enum
from typing import Any, NamedTuple

from tropism.bridges.compliance.registry import Fail
from tropism.bridges.errors import ProtocolError
from tropism.bridges.protocol.header import (
    HEADER_SIZE,
    Flag,
    Header,
    Type,
    name_of,
    pack_header,
    parse_header,
)
from tropism.bridges.protocol.messages import open_body

PATIENCE = 5.0
"""Seconds within which an answer must come."""
NOTICE = 1.0
"""Seconds that a game gets to notice that we hang up."""
KNOWN = frozenset(map(int, Type))
QUIET = 0.2
"""Seconds within which nothing must come."""


class Frame(NamedTuple):
    """A message as it came."""

    header: Header
    raw: bytes
    body: bytes

    @property
    def type(self) -> int:
        """Its type."""
        return self.header.type

    def json(self) -> dict[str, Any]:
        """Its body as a JSON object; fails the check if it is none."""
        try:
            value = json.loads(self.body.decode())
        except ValueError as error:
            raise Fail(f"JSON in {self}", f"{self.body[:60]!r} ({error})") from error
        if not isinstance(value, dict):
            raise Fail(f"a JSON object in {self}", repr(value)[:60])
        return value

    def __str__(self) -> str:
        return name_of(self.type)


class End(Enum):
    """Why no message came."""

    SILENT = "silence"
    CLOSED = "the end of the connection"

    def __str__(self) -> str:
        return self.value


class Wire:
    """One connection. Reads within a deadline; PING of the game is answered, EVENT is kept aside."""

    def __init__(self, sock: Any, patience: float = PATIENCE) -> None:
        self.sock, self.patience = sock, patience
        self.max_message = 16_777_216
        self.events: list[Frame] = []
        self.seen: list[Frame] = []
        self._buffer = bytearray()

    # --- writing ---------------------------------------------------------------------------------

    def send(self, type: int, body: bytes | dict = b"", **header: Any) -> None:  # noqa: A002
        """Send a message; `header` overrides fields, right or wrong: `length`, `seq`, `flags`, `crc`, ..."""
        raw = json.dumps(body).encode() if isinstance(body, dict) else bytes(body)
        length = header.pop("length", len(raw))
        self.send_bytes(pack_header(type, length, **header) + raw)

    def send_bytes(self, data: bytes) -> None:
        """Send bytes of any kind; a game that has hung up is noticed when reading."""
        with contextlib.suppress(BrokenPipeError, ConnectionError):
            self.sock.settimeout(self.patience)
            self.sock.sendall(data)

    # --- reading ---------------------------------------------------------------------------------

    def next(self, timeout: float | None = None) -> Frame | End:
        """The next message but PING and EVENT, or why there is none.

        Raises:
            Fail: the bytes that came are no message.
        """
        deadline = time.monotonic() + (self.patience if timeout is None else timeout)
        while True:
            frame = self._read(deadline)
            if isinstance(frame, Frame):
                self.seen.append(frame)
                if frame.type == Type.EVENT:
                    self.events.append(frame)
                    continue
                if frame.type == Type.PING:
                    self.send(Type.PONG, frame.body)
                    continue
                if frame.type not in KNOWN and not frame.header.flags & Flag.MUST_UNDERSTAND:
                    continue
            return frame

    def expect(self, type: Type, timeout: float | None = None) -> Frame:  # noqa: A002
        """The next message, which must be of a type."""
        frame = self.next(timeout)
        if isinstance(frame, Frame) and frame.type == type:
            return frame
        raise Fail(type.name, describe(frame))

    def expect_silence(self, seconds: float = QUIET) -> None:
        """Fail if any message comes, or the end."""
        frame = self.next(seconds)
        if frame is not End.SILENT:
            raise Fail("no message", describe(frame))

    def expect_refusal(
        self,
        *codes: str,
        must_say: bool = False,
        passing: tuple[Type, ...] = (),
        patience: float | None = None,
    ) -> dict[str, Any]:
        """The game must close; if it says ERROR first, with one of these codes.

        Args:
            codes: allowed in ERROR; none: any.
            must_say: ERROR is demanded, not only the end of the connection.
            passing: messages that may still come before.
            patience: seconds for all of it.

        Returns:
            The body of ERROR; empty if none came.
        """
        wanted = f"ERROR {' or '.join(codes)}".rstrip() + " and the end of the connection"
        said = self._last_words(wanted, passing, patience or self.patience)
        if said is None and must_say:
            raise Fail(wanted, "the end of the connection without ERROR")
        if said is not None and codes and said.json().get("code") not in codes:
            raise Fail(wanted, describe(said))
        return said.json() if said else {}

    def close(self) -> None:
        """Hang up, and let the game notice."""
        sock = getattr(self.sock, "plain", self.sock)
        deadline = time.monotonic() + NOTICE
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_WR)
            sock.settimeout(NOTICE)
            while sock.recv(1 << 20) and time.monotonic() < deadline:
                pass
        sock.close()

    def abort(self) -> None:
        """Hang up as a connection does whose process has crashed: by a reset."""
        sock = getattr(self.sock, "plain", self.sock)
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()

    def _last_words(self, wanted: str, passing: tuple[Type, ...], patience: float) -> Frame | None:
        """Read up to the end of the connection; the ERROR that came before, if one did."""
        said = None
        deadline = time.monotonic() + patience
        while (frame := self.next(deadline - time.monotonic())) is not End.CLOSED:
            if not isinstance(frame, Frame):
                raise Fail(wanted, f"{describe(said) + ', then ' if said else ''}{frame}")
            if frame.type not in (Type.ERROR, Type.CLOSE, *passing):
                raise Fail(wanted, describe(frame))
            said = frame if frame.type == Type.ERROR else said
        return said

    def _read(self, deadline: float) -> Frame | End:
        end = self._fill(HEADER_SIZE, deadline)
        if end:
            return end
        try:
            header = parse_header(self._buffer, self.max_message)
            end = self._fill(HEADER_SIZE + header.length, deadline)
            if end:
                return end
            raw = bytes(self._buffer[HEADER_SIZE : HEADER_SIZE + header.length])
            del self._buffer[: HEADER_SIZE + header.length]
            return Frame(header, raw, bytes(open_body(header, raw, self.max_message)))
        except ProtocolError as error:
            raise Fail("a well-formed message", str(error)) from error

    def _fill(self, size: int, deadline: float) -> End | None:
        """Read until `size` bytes are there."""
        while len(self._buffer) < size:
            self.sock.settimeout(max(deadline - time.monotonic(), 0.001))
            try:
                data = self.sock.recv(1 << 20)
            except TimeoutError:
                return End.SILENT
            except OSError:
                data = b""
            if not data:
                self._check_whole()
                return End.CLOSED
            self._buffer += data
        return None

    def _check_whole(self) -> None:
        if self._buffer:
            got = f"the end of the connection after {len(self._buffer)} bytes of a message"
            self._buffer.clear()
            raise Fail("whole messages", got)


def describe(frame: Frame | End | None) -> str:
    """What came, for people."""
    if not isinstance(frame, Frame):
        return str(frame)
    if frame.type == Type.ERROR:
        return f"ERROR {frame.body[:200].decode(errors='replace')}"
    return f"{frame} (seq {frame.header.seq}, episode {frame.header.episode}, {frame.header.length} bytes)"
