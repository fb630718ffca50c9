"""Games that read or write messages wrongly, or do not know all of them."""

from __future__ import annotations

import itertools
import zlib

from tests.bridges.broken.breaking import RIGHT, breaks, nothing
from tests.bridges.small_game import Refusal

from tropism.bridges.protocol.header import Flag, Header, Type, pack_header

_counter = itertools.count()


# --- messages -------------------------------------------------------------------------------------


def _lenient_header(**fixed):
    """A method `read_header` that takes some fields as right whatever they are."""

    def read_header(self, data):
        data = bytearray(data)
        for offset, value in fixed["put"]:
            data[offset : offset + len(value)] = value
        return RIGHT.read_header(self, bytes(data))

    return read_header


def _patient_header(self, data):
    """Waits for whatever length is announced."""
    length = int.from_bytes(data[8:12], "little")
    return (
        Header(data[4], data[5], 0, length, 0, 0, 0, 0)
        if length > 2**24
        else RIGHT.read_header(self, data)
    )


def _one_read(self, size):
    data = self.sock.recv(size)
    if len(data) != size:
        raise EOFError
    return data


def _one_gulp(self, size):
    """What comes together with a message is lost."""
    if not self.pending and size:
        self.pending = self.sock.recv(1 << 16)
        if not self.pending:
            raise EOFError
    data, self.pending = self.pending[:size], self.pending[size:]
    if size != 32 or not data[8:12].strip(b"\0"):
        self.pending = b""
    return data


def _impatient(self, size):
    self.sock.settimeout(0.1 if size == 16 + 8 else 5.0)
    return RIGHT.exactly(self, size)


def _with_checksum(self, what, length, seq, episode):
    return pack_header(
        what, length, seq, episode, Flag.ZLIB if what == Type.PONG else 64 * (what == Type.OBS)
    )


def _backwards(self, what, length, seq, episode):
    return pack_header(what, length, seq, episode, time=10**9 - next(_counter))


def _no_checks(self, header, raw):
    return zlib.decompress(raw) if header.flags & Flag.ZLIB else raw


def _no_limit(self, header, raw):
    self.check_flags(header.flags & 8)
    try:
        return zlib.decompress(raw) if header.flags & Flag.ZLIB else raw
    except zlib.error:
        return b"{}"


def _never(self, header, raw):
    if header.flags & 6:
        raise Refusal("protocol")
    return raw


def _dies(self):
    self.house.close()


def _dies_inside(self, size):
    try:
        return RIGHT.exactly(self, size)
    except EOFError:
        if size != 32:
            self.house.close()
        raise


breaks("header-flags", header=_with_checksum)
breaks("header-clock", header=_backwards)
breaks("header-in-pieces", exactly=_one_read)
breaks("header-together", exactly=_one_gulp, pending=b"")
breaks("half-message", exactly=_impatient)
breaks("magic-wrong", "magic-swapped", read_header=_lenient_header(put=[(0, b"GBR1")]))
breaks("flags-unknown", read_header=_lenient_header(put=[(5, b"\0")]))
breaks("stream-wrong", read_header=_lenient_header(put=[(6, b"\0\0")]))
breaks("crc-without-flag", read_header=_lenient_header(put=[(28, b"\0\0\0\0")]))
breaks("length-oversized", "length-above-the-agreed", read_header=_patient_header)
breaks("type-unknown", on_unknown=lambda self, header: self.on_unexpected(header))
breaks("type-unknown-must-understand", on_unknown=nothing)
breaks("type-unknown-must-understand", on_unknown=lambda self, header: self.on_close(header, b""))
breaks("type-of-the-game", on_obs=nothing)
breaks(
    "garbage-at-first", "garbage-in-a-session", read_header=lambda self, data: self.exactly(2**20)
)
breaks("half-message-then-the-end", exactly=_dies_inside)
breaks("crc-right", "zlib-right", read_body=_never)
breaks("crc-wrong", read_body=_no_checks)
breaks("zlib-broken", "zlib-too-large", read_body=_no_limit, on_event=nothing)
breaks("flags-not-granted", "flags-shared-memory", check_flags=nothing)


# --- the rest -------------------------------------------------------------------------------------


def _slow_call(self, header, body):
    self.waiting = header, body


def _call_after_obs(self):
    RIGHT.observe(self)
    if self.waiting is not None:
        RIGHT.on_call(self, *self.waiting)


def _tired(self, seed):
    RIGHT.begin(self, seed)
    if self.episode > 30:
        raise EOFError


def _anonymous(self, action):
    self.send(Type.EVENT, {"data": 1})
    RIGHT.advance(self, action)


def _advance_too(self, header, body):
    self.step += 1
    RIGHT.on_ping(self, header, body)


def _fixed_id(self, header, body):
    self.send(Type.REPLY, {"id": 3, "error": "no"})


def _lost_forever(self, *_):
    self.house.close()
    raise EOFError


breaks("ping", on_ping=lambda self, header, body: self.send(Type.PONG, body[:8]))
breaks("ping", on_ping=nothing)
breaks("ping-in-an-episode", on_ping=_advance_too)
breaks("ping-too-long", on_ping=lambda self, header, body: self.send(Type.PONG, body))
breaks("event-unknown", on_event=RIGHT.on_close)
breaks("event-form", advance=_anonymous)
breaks("call-unknown", on_call=RIGHT.on_close)
breaks("call-unknown", answer=lambda self, name: {"result": None})
breaks("call-ids", on_call=_fixed_id)
breaks("call-before-the-next-obs", on_call=_slow_call, observe=_call_after_obs, waiting=None)
breaks("call-malformed", on_call=lambda self, *_: self.send(Type.REPLY, {"id": None, "error": "x"}))
breaks("call-render", answer=lambda self, name: {"result": {"d": "u1", "s": [2, 1, 3], "b64": "A"}})
breaks("close-obeyed", on_close=nothing)
breaks("error-obeyed", on_error=nothing)
breaks("close-then-again", on_close=_lost_forever)
breaks(
    "agent-lost-between-steps",
    "agent-lost-during-a-step",
    "agent-lost-during-the-opening",
    "agent-lost-by-reset-of-the-connection",
    lost=_dies,
)
breaks("session-many-resets", begin=_tired)
