"""The file of a store: one header block, slabs at multiples of 4 KiB, an index in JSON.

::

    0         header block of 4096 bytes, little-endian: magic, version, checksum, offset and length of
              the index, length of the file; zeros; CRC-32 of the block's first 4092 bytes
    4096 k    slab, zeros up to the next multiple of 4096
    ...
    4096 m    index: {"facts": {...}, "slabs": [[layer, expert, offset, length, crc32, meta], ...]}

The contents of a slab are opaque; whoever packs and unpacks them keeps shapes and scales in ``meta``.  CRC-32 is that of zlib.
Slabs are aligned so that they can be read past the page cache (``open(2)``, O_DIRECT).
"""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import FileIO
from typing import Any, NamedTuple

from tropism_moe.checksum import crc32
from tropism_moe.store_errors import (
    ChecksumError,
    Key,
    PathLike,
    StoreError,
    StoreFormatError,
    StoreTruncatedError,
    StoreVersionError,
)

BLOCK = 4096
"""Bytes to multiples of which slabs are aligned."""
VERSION = 1
MAGIC = b"TROPSLAB"
_HEADER = struct.Struct("<8sIIQQQ")
_CRC = struct.Struct("<I")
_RESTORE = "restore the file from a copy, or pack it again"


class Slab(NamedTuple):
    """Where the bytes of one expert of one layer are.

    Attributes:
        layer: from 0.
        expert: from 0.
        offset: of the first byte in the file, a multiple of :data:`BLOCK`.
        length: bytes.
        crc32: of the bytes.
        meta: what the packer noted, JSON values.
    """

    layer: int
    expert: int
    offset: int
    length: int
    crc32: int
    meta: dict[str, Any]

    @property
    def key(self) -> Key:
        """Layer and expert."""
        return self[:2]

    @property
    def padded(self) -> int:
        """Bytes up to the next multiple of :data:`BLOCK`."""
        return -(-self.length // BLOCK) * BLOCK


@dataclass(frozen=True)
class Index:
    """What a store holds.

    Attributes:
        facts: of the whole store, JSON values.
        slabs: by layer and expert, in the order of the file.
    """

    facts: dict[str, Any]
    slabs: dict[Key, Slab]


def pack_index(facts: Mapping[str, Any], slabs: list[Slab]) -> bytes:
    """The index as UTF-8.

    Raises:
        TypeError: a value is no JSON value.
        ValueError: a number is not finite.
    """
    index = {"facts": facts, "slabs": slabs}
    return json.dumps(index, separators=(",", ":"), allow_nan=False).encode()


def pack_header(index: bytes, index_offset: int) -> bytes:
    """The header block of a file that ends with ``index`` at ``index_offset``."""
    size = index_offset + len(index)
    body = _HEADER.pack(MAGIC, VERSION, zlib.crc32(index), index_offset, len(index), size)
    body = body.ljust(BLOCK - _CRC.size, b"\0")
    return body + _CRC.pack(zlib.crc32(body))


def read_index(file: FileIO, path: PathLike) -> Index:
    """Check the header and read the index.

    Args:
        file: opened for reading in binary, unbuffered.
        path: for messages.

    Raises:
        StoreFormatError: it is no store, or header or index is damaged.
        StoreVersionError: another version wrote it.
        StoreTruncatedError: bytes are missing at the end.
    """
    crc, offset, length = _read_header(file, path)
    file.seek(offset)
    data = file.read(length)
    if zlib.crc32(data) != crc:
        raise _damaged(path, "the index is damaged, its CRC-32 differs", crc, zlib.crc32(data))
    return _parse(data, offset, path)


def _read_header(file: FileIO, path: PathLike) -> tuple[int, int, int]:
    """CRC-32, offset and length of the index."""
    size = os.fstat(file.fileno()).st_size
    file.seek(0)
    block = file.read(BLOCK)
    if block[: len(MAGIC)] != MAGIC:
        raise _damaged(path, "this is no store of experts", MAGIC, block[: len(MAGIC)])
    if len(block) < BLOCK:
        raise StoreTruncatedError(
            path, "the header is cut off", _RESTORE, expected=f"{BLOCK} bytes", found=len(block)
        )
    _, version, crc, offset, length, whole = _HEADER.unpack_from(block)
    if version != VERSION:
        raise StoreVersionError(
            path, "the store has another version", "pack it again with this version of tropism-moe",
            expected=VERSION, found=version,
        )  # fmt: skip
    (expected,), found = _CRC.unpack(block[-_CRC.size :]), zlib.crc32(block[: -_CRC.size])
    if expected != found:
        raise _damaged(path, "the header is damaged, its CRC-32 differs", expected, found)
    if size < whole:
        raise StoreTruncatedError(
            path, "the file is truncated", _RESTORE, expected=f"{whole} bytes", found=size
        )
    if size > whole or offset + length != whole:
        raise _damaged(path, "the length is wrong", f"{whole} bytes", size)
    return crc, offset, length


def _parse(data: bytes, end: int, path: PathLike) -> Index:
    """The index out of its bytes; slabs must lie between the header and ``end``."""
    try:
        index = json.loads(data)
        facts, rows = dict(index["facts"]), [Slab(*row) for row in index["slabs"]]
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(path, "the index is malformed", "facts and slabs", repr(error)) from error
    if not rows:
        raise _damaged(path, "the index is malformed", "at least one slab", "none")
    for slab in rows:
        _check(slab, end, path)
    slabs = {slab.key: slab for slab in rows}
    if len(slabs) != len(rows):
        raise _damaged(path, "the index names slabs twice", len(rows), len(slabs))
    return Index(facts, slabs)


def _check(slab: Slab, end: int, path: PathLike) -> None:
    """Refuse a slab whose place is impossible."""
    numbers = slab[:5]
    if not all(type(n) is int and n >= 0 for n in numbers) or type(slab.meta) is not dict:
        raise _damaged(path, "the index is malformed", "counts and a mapping", list(slab))
    if slab.offset % BLOCK or slab.offset < BLOCK:
        raise _damaged(
            path, "the slab starts where none can", f"a multiple of {BLOCK}", slab.offset, slab.key
        )
    if not 0 < slab.length <= end - slab.offset:
        raise _damaged(
            path, "the slab has a wrong length", f"1 to {end - slab.offset} bytes", slab.length, slab.key
        )  # fmt: skip


def check_crc(path: PathLike, slab: Slab, data: Any) -> None:
    """Compare the bytes of a slab with its checksum.

    Raises:
        ChecksumError: they differ.
    """
    found = crc32(data)
    if found != slab.crc32:
        raise ChecksumError(
            path, "the slab is damaged, its CRC-32 differs", _RESTORE, slab=slab.key,
            expected=f"{slab.crc32:#010x}", found=f"{found:#010x}",
        )  # fmt: skip


def truncated(path: PathLike, slab: Slab, size: int) -> StoreTruncatedError:
    """The error of a slab that goes beyond the ``size`` bytes of its file."""
    end = slab.offset + slab.length
    return StoreTruncatedError(
        path, "the file is truncated", _RESTORE, slab=slab.key, expected=f"{end} bytes", found=size
    )


def twice(attempt: Callable[[], None], between: Callable[[], None]) -> None:
    """Once more after a failure: what went wrong may be the transfer, not the disk.

    Raises:
        StoreError: of the second attempt.
    """
    try:
        attempt()
    except StoreError:
        between()
        attempt()


def forget(file: FileIO, slab: Slab) -> None:
    """Take the pages of a slab out of the page cache, where the platform can: the next read is from the disk."""
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(file.fileno(), slab.offset, slab.padded, os.POSIX_FADV_DONTNEED)


def _damaged(
    path: PathLike, problem: str, expected: object, found: object, slab: Key | None = None
) -> StoreFormatError:
    return StoreFormatError(path, problem, _RESTORE, slab=slab, expected=expected, found=found)
