"""Reading and writing the primitive fields of .NET's `BinaryWriter`, little-endian, every length checked."""

from __future__ import annotations

import struct

from tropism.bridges.errors import ProtocolError

VARINT_MAX = 5
"""Bytes of the longest length that stands before a string."""


class Cursor:
    """Reads fields one after the other from `data`; `offset` is where the next one begins."""

    def __init__(self, data: bytes) -> None:
        self.data, self.offset = data, 0

    @property
    def left(self) -> int:
        """How many bytes are left."""
        return len(self.data) - self.offset

    def raw(self, size: int, what: str) -> bytes:
        """The next `size` bytes.

        Raises:
            ProtocolError: fewer are left; the text names `what`.
        """
        if size > self.left:
            text = f"{what} at byte {self.offset} needs {size} bytes, {self.left} are left"
            raise ProtocolError(text)
        self.offset += size
        return self.data[self.offset - size : self.offset]

    def unpack(self, layout: struct.Struct, what: str) -> tuple:
        """The next fields of `layout`.

        Raises:
            ProtocolError: fewer bytes are left.
        """
        return layout.unpack(self.raw(layout.size, what))

    def count(self, most: int, what: str) -> int:
        """An i32 in [0, `most`].

        Raises:
            ProtocolError: it is not, or not there.
        """
        (number,) = self.unpack(I32, what)
        if not 0 <= number <= most:
            raise ProtocolError(f"{what} is {number}, not in [0, {most}]")
        return number

    def string(self, what: str) -> str:
        """UTF-8 text after its length in bytes as a varint of 7 bits a byte.

        Raises:
            ProtocolError: too short, a length of more than five bytes, or no UTF-8.
        """
        text = self.raw(self._varint(what), what)
        try:
            return text.decode("utf-8")
        except UnicodeDecodeError as error:
            raise ProtocolError(f"{what} is not UTF-8: {error}") from None

    def _varint(self, what: str) -> int:
        number = 0
        for place in range(VARINT_MAX):
            byte = self.raw(1, f"length of {what}")[0]
            number |= (byte & 0x7F) << 7 * place
            if byte < 0x80:
                return number
        raise ProtocolError(f"length of {what} has more than {VARINT_MAX} bytes")


def pack_string(text: str) -> bytes:
    """UTF-8 text after its length in bytes as a varint of 7 bits a byte."""
    data = text.encode("utf-8")
    length, size = bytearray(), len(data)
    while size >= 0x80:
        length.append(size & 0x7F | 0x80)
        size >>= 7
    length.append(size)
    return bytes(length) + data


I32 = struct.Struct("<i")
