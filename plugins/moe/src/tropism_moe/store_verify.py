"""Check every slab of a store against its checksum."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from io import FileIO

from tropism_moe.store_errors import PathLike, StoreError, read_failed
from tropism_moe.store_format import Slab, check_crc, read_index, truncated
from tropism_moe.store_plan import open_file


@dataclass(frozen=True)
class Report:
    """What a check found.

    Attributes:
        path: of the store.
        slabs: how many it has.
        nbytes: of all slabs together.
        damaged: an error for each damaged slab, in the order of the file.
    """

    path: str
    slabs: int
    nbytes: int
    damaged: tuple[StoreError, ...]

    @property
    def sound(self) -> bool:
        """Whether no slab is damaged."""
        return not self.damaged


def verify(path: PathLike, progress: Callable[[int, int], None] | None = None) -> Report:
    """Read a store from end to end, one slab in memory at a time.

    Args:
        path: of the store.
        progress: ``progress(done, total)`` is called after each slab.

    Raises:
        StoreError: the file cannot be opened, is no store, of another version or truncated, or its header or index is damaged.
    """
    damaged: list[StoreError] = []
    with open_file(path) as file:
        slabs = read_index(file, path).slabs
        for done, slab in enumerate(slabs.values(), 1):
            try:
                _check(file, path, slab)
            except StoreError as error:
                damaged.append(error)
            if progress is not None:
                progress(done, len(slabs))
    nbytes = sum(slab.length for slab in slabs.values())
    return Report(os.fspath(path), len(slabs), nbytes, tuple(damaged))


def _check(file: FileIO, path: PathLike, slab: Slab) -> None:
    try:
        file.seek(slab.offset)
        data = file.read(slab.length)
    except OSError as error:
        raise read_failed(path, error, slab.key) from error
    if len(data) < slab.length:
        raise truncated(path, slab, slab.offset + len(data))
    check_crc(path, slab, data)
