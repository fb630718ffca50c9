"""BonkLink v1, the streams: bytes in chunks of any size in, whole packets or actions out.

The format has no magic to look for, so after a bad length nothing can be trusted any more: the decoder
raises and stays broken, and the connection has to be made anew.
"""

from __future__ import annotations

from typing import NamedTuple

from tropism.bridges.errors import BridgeError, InvalidValue, MessageTooLarge, ProtocolError
from tropism.bridges.legacy.bonklink import Action, decode_action, encode_action
from tropism.bridges.legacy.fields import I32

STATE_MAX, FRAME_MAX = 262_144, 4_194_304
ACTION_LIMIT = 1024
"""Actions of this size and above are not taken, as in the plugin; but here they are skipped whole."""
SKIP_MAX = 1_048_576
"""The largest action that is skipped; a longer one is no action but garbage."""


class Packet(NamedTuple):
    """One packet of the game, undecoded; `frame` is empty if none came with it."""

    state: bytes
    frame: bytes = b""


def encode_packet(state: bytes, frame: bytes = b"") -> bytes:
    """A packet as the plugin writes it.

    Raises:
        InvalidValue: a state or frame that no reader accepts.
    """
    if not 0 < len(state) <= STATE_MAX or len(frame) > FRAME_MAX:
        raise InvalidValue(f"a state of {len(state)} and a frame of {len(frame)} bytes")
    return b"".join((I32.pack(len(state)), state, I32.pack(len(frame)), frame))


def frame_action(action: Action) -> bytes:
    """An action after its size, as it is sent."""
    body = encode_action(action)
    return I32.pack(len(body)) + body


class _Stream:
    """Bytes that have come and are not used yet."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._error: BridgeError | None = None

    def feed(self, data: bytes) -> None:
        """Take bytes as they come."""
        self._buffer += data

    def _size(self, offset: int) -> int | None:
        if len(self._buffer) < offset + 4:
            return None
        return I32.unpack_from(self._buffer, offset)[0]

    def _take(self, size: int) -> bytes:
        data = bytes(self._buffer[:size])
        del self._buffer[:size]  # cheap: a bytearray only moves its beginning
        return data

    def _fail(self, error: BridgeError) -> BridgeError:
        self._error = error
        self._buffer.clear()
        return error


class PacketDecoder(_Stream):
    """Cuts what a game sends into packets."""

    def next(self) -> Packet | None:
        """The next whole packet, or None if more bytes are needed.

        Raises:
            ProtocolError: a length that cannot be (`MessageTooLarge`: too long); and ever after.
        """
        if self._error is not None:
            raise self._error
        state = self._length(0, 1, STATE_MAX, "state")
        if state is None:
            return None
        frame = self._length(4 + state, 0, FRAME_MAX, "frame")
        if frame is None or len(self._buffer) < 8 + state + frame:
            return None
        data = self._take(8 + state + frame)
        return Packet(data[4 : 4 + state], data[8 + state :])

    def eof(self) -> None:
        """Say that no more bytes come.

        Raises:
            ProtocolError: in the middle of a packet.
        """
        if self._error is None and self._buffer:
            raise self._fail(ProtocolError(f"EOF inside a packet, after {len(self._buffer)} bytes"))

    def _length(self, offset: int, least: int, most: int, what: str) -> int | None:
        size = self._size(offset)
        if size is None or least <= size <= most:
            return size
        kind = MessageTooLarge if size > most else ProtocolError
        raise self._fail(kind(f"a {what} of {size} bytes, not in [{least}, {most}]"))


class ActionDecoder(_Stream):
    """Cuts what an agent sends into actions. `ignored` counts what was none but could be skipped."""

    def __init__(self) -> None:
        super().__init__()
        self.ignored = 0
        self._skip = 0

    def next(self) -> Action | None:
        """The next whole action, or None if more bytes are needed.

        Sizes that are not positive have no body and are ignored as in the plugin, and so are actions too
        short, not finite, or of `ACTION_LIMIT` bytes and more.

        Raises:
            MessageTooLarge: a size over `SKIP_MAX`; and ever after.
        """
        if self._error is not None:
            raise self._error
        while self._skipped() and (size := self._size(0)) is not None:
            if size > SKIP_MAX:
                raise self._fail(MessageTooLarge(f"an action of {size} bytes"))
            if not 0 < size < ACTION_LIMIT:
                self.ignored += 1
                self._skip = 4 + max(size, 0)
            elif len(self._buffer) < 4 + size:
                return None
            elif (action := self._decoded(self._take(4 + size)[4:])) is not None:
                return action
        return None

    def _skipped(self) -> bool:
        """Throw away what is to be skipped; whether that is done."""
        self._skip -= len(self._take(self._skip))
        return self._skip == 0

    def _decoded(self, body: bytes) -> Action | None:
        try:
            return decode_action(body)
        except (ProtocolError, InvalidValue):
            self.ignored += 1
            return None
