"""Values of simple spaces in memory: arrays, integers and texts (docs/bridge-protocol.md, section 7).

A leaf writes itself into a buffer and reads itself from one. Buffers are as large as their layout says: that is
checked once for a whole message, not here.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from tropism.bridges.errors import InvalidValue, ProtocolError

Buffer = bytearray | memoryview
I64 = struct.Struct("<q")
U32 = struct.Struct("<I")
SMALL = 4096
"""Bytes up to which copying an array takes less time than asking for a view of its memory."""


class Leaf(NamedTuple):
    """One place in a layout: `dtype` is a code of section 7, or "text"; `shape` is of the array."""

    path: str
    dtype: str
    shape: tuple[int, ...]
    offset: int


def align(size: int) -> int:
    """The next multiple of 8."""
    return (size + 7) & ~7


class Node:
    """A part of a layout.

    Attributes:
        path: where it stands in the space, for errors.
        size: bytes, a multiple of 8.
    """

    path: str
    size: int

    def encode(self, buffer: Buffer, offset: int, value: Any) -> None:
        """Write a value; raises `InvalidValue` if it has no place here."""
        raise NotImplementedError

    def pieces(self, value: Any) -> Sequence[Any]:
        """A value as bytes and arrays of bytes to be joined at once; raises as `encode` does."""
        buffer = bytearray(self.size)
        self.encode(buffer, 0, value)
        return (buffer,)

    def between(self, before: bytes, value: Any, after: bytes) -> bytes:
        """A value as bytes, with what stands around it; raises as `encode` does."""
        return b"".join((before, *self.pieces(value), after))

    def decode(self, buffer: Any, offset: int, copy: bool) -> Any:
        """Read a value; raises `ProtocolError` if there is none."""
        raise NotImplementedError

    def leaves(self, offset: int) -> Iterator[Leaf]:
        """Every leaf, in order."""
        raise NotImplementedError


class Array(Node):
    """An array of one shape and type; `shown` is the type that a Discrete has in Python."""

    def __init__(self, path: str, code: str, dtype: np.dtype, shape: tuple[int, ...]) -> None:
        self.path, self.code, self.dtype, self.shape = path, code, dtype, shape
        self.shown = dtype
        length = math.prod(shape) * dtype.itemsize
        self.size = align(length)
        self._padding = bytes(self.size - length)

    def encode(self, buffer: Buffer, offset: int, value: Any) -> None:
        """Copy an array in."""
        np.ndarray(self.shape, self.dtype, buffer, offset)[...] = self._fitted(value)

    def pieces(self, value: Any) -> Sequence[Any]:
        """The array itself, or its bytes where that is cheaper, and what fills up the last eight."""
        array = self._fitted(value)
        raw = array if self.size > SMALL and array.flags.c_contiguous else array.tobytes()
        return (raw, self._padding) if self._padding else (raw,)

    def between(self, before: bytes, value: Any, after: bytes) -> bytes:
        """The same in less time for a small array."""
        if self.size > SMALL:
            return super().between(before, value, after)
        return before + self._fitted(value).tobytes() + self._padding + after

    def decode(self, buffer: Any, offset: int, copy: bool) -> np.ndarray:
        """Copy the array out, or view it."""
        array = np.ndarray(self.shape, self.dtype, buffer, offset)
        return array.copy() if copy else array

    def leaves(self, offset: int) -> Iterator[Leaf]:
        """This one."""
        yield Leaf(self.path, self.code, self.shape, offset)

    def _fitted(self, value: Any) -> np.ndarray:
        if type(value) is np.ndarray and value.dtype == self.dtype and value.shape == self.shape:
            return value
        return fit(value, self.dtype, self.shape, self.path)


class Booleans(Array):
    """An array of booleans, whose bytes must be 0 or 1."""

    def decode(self, buffer: Any, offset: int, copy: bool) -> np.ndarray:
        """Check every byte, then copy or view."""
        raw = np.ndarray(self.shape, np.uint8, buffer, offset)
        if raw.size and raw.max() > 1:
            raise ProtocolError(f"{self.path}: a boolean that is neither 0 nor 1")
        return super().decode(buffer, offset, copy)


class Integer(Node):
    """An integer, i64 in memory whatever its type in Python."""

    size = 8

    def __init__(self, path: str, dtype: np.dtype) -> None:
        self.path, self.kind = path, dtype.type

    def encode(self, buffer: Buffer, offset: int, value: Any) -> None:
        """Write an integer, or what stands for one."""
        try:
            I64.pack_into(buffer, offset, value)
        except (struct.error, TypeError):
            raise InvalidValue(f"{self.path}: {value!r} is no integer of 64 bits") from None

    def decode(self, buffer: Any, offset: int, copy: bool) -> np.integer:  # noqa: ARG002
        """Read it as a NumPy scalar of its type."""
        value = I64.unpack_from(buffer, offset)[0]
        try:
            return self.kind(value)
        except OverflowError:
            raise ProtocolError(f"{self.path}: {value} does not fit its type") from None

    def leaves(self, offset: int) -> Iterator[Leaf]:
        """This one."""
        yield Leaf(self.path, "i8", (), offset)


class Text(Node):
    """A text of at most `most` characters: its bytes counted, then UTF-8."""

    def __init__(self, path: str, most: int) -> None:
        self.path, self.most = path, most
        self.size = align(4 + 4 * most)

    def encode(self, buffer: Buffer, offset: int, value: Any) -> None:
        """Write a string, zeros after it."""
        if not isinstance(value, str) or len(value) > self.most:
            raise InvalidValue(f"{self.path}: {value!r} is no text of at most {self.most} letters")
        try:
            raw = value.encode()
        except UnicodeEncodeError as error:
            raise InvalidValue(f"{self.path}: {error}") from None
        start = offset + 4
        U32.pack_into(buffer, offset, len(raw))
        buffer[start : offset + self.size] = raw.ljust(self.size - 4, b"\0")

    def decode(self, buffer: Any, offset: int, copy: bool) -> str:  # noqa: ARG002
        """Read a string."""
        count = U32.unpack_from(buffer, offset)[0]
        if count > 4 * self.most:
            raise ProtocolError(f"{self.path}: a text of {count} bytes in room for {4 * self.most}")
        try:
            text = str(buffer[offset + 4 : offset + 4 + count], "utf-8")
        except UnicodeDecodeError as error:
            raise ProtocolError(f"{self.path}: {error}") from None
        if len(text) > self.most:
            raise ProtocolError(f"{self.path}: a text of {len(text)} letters, not {self.most}")
        return text

    def leaves(self, offset: int) -> Iterator[Leaf]:
        """This one; its shape is the room in bytes."""
        yield Leaf(self.path, "text", (4 * self.most,), offset)


def fit(value: Any, dtype: np.dtype, shape: tuple[int, ...], path: str) -> np.ndarray:
    """A value as an array of this type and shape, if nothing is lost by that but precision.

    Raises:
        InvalidValue: another shape, no numbers, or numbers this type cannot hold; names `path`.
    """
    try:
        array = np.asarray(value)
    except ValueError as error:  # lists of unequal lengths
        raise InvalidValue(f"{path}: {error}") from None
    if array.shape != shape:
        raise InvalidValue(f"{path}: shape {array.shape}, not {shape}")
    if array.dtype.kind not in ("biuf" if dtype.kind == "f" else "biu"):
        raise InvalidValue(f"{path}: elements of type {array.dtype}, not {dtype}")
    with np.errstate(over="ignore"):
        fitted = array.astype(dtype)
    if dtype.kind != "f" and not np.array_equal(fitted, array):
        raise InvalidValue(f"{path}: numbers that {dtype} cannot hold")
    return fitted
