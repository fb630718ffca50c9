"""What can be wrong with a store of experts: each error names the file, the slab, what was expected and what was found."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from tropism.errors import ArtifactError, OptionError

Key = tuple[int, int]
"""Layer and expert, both from 0."""
PathLike = str | os.PathLike[str]


class StoreError(ArtifactError):
    """A store cannot be read or written as asked.

    Args:
        path: of the store.
        problem: in a few words.
        remedy: what to do about it.
        slab: the ``(layer, expert)`` concerned, if it is one.
        expected: what should have been there.
        found: what was there.
    """

    def __init__(
        self,
        path: PathLike,
        problem: str,
        remedy: str,
        *,
        slab: Key | None = None,
        expected: Any = None,
        found: Any = None,
    ) -> None:
        self.path, self.slab, self.expected, self.found = os.fspath(path), slab, expected, found
        where = "" if slab is None else f", slab (layer {slab[0]}, expert {slab[1]})"
        told = "" if expected is None else f": expected {expected}, found {found}"
        super().__init__(f"{self.path}{where}: {problem}{told}; {remedy}")


class StoreFormatError(StoreError):
    """The file is no store, or its header or index is damaged or contradicts itself."""


class StoreVersionError(StoreError):
    """The store was written in a version of the format that is not read here."""


class StoreTruncatedError(StoreError):
    """The file ends before its contents do."""


class MissingSlabError(StoreError):
    """The store has no slab of this layer and expert."""


class ChecksumError(StoreError):
    """The bytes of a slab are not those that were written, twice in a row."""


class StoreReadError(StoreError):
    """The operating system refused to open or to read; the ``OSError`` is chained."""


def missing(path: PathLike, slab: Key, there: Iterable[Key]) -> MissingSlabError:
    """The error of a slab that is not among those that are ``there``."""
    layers, experts = zip(*there, strict=True)
    return MissingSlabError(
        path, "there is no such slab", "ask for one of these, or pack the model again", slab=slab,
        expected=f"layers {min(layers)} to {max(layers)}, experts {min(experts)} to {max(experts)}",
        found="none",
    )  # fmt: skip


def read_failed(path: PathLike, error: OSError, slab: Key) -> StoreReadError:
    """The error of a slab that the operating system cannot read."""
    return StoreReadError(
        path, f"reading failed ({error.strerror or error})",
        "check the disk and restore the file from a copy", slab=slab,
    )  # fmt: skip


class StoreWriteError(StoreError):
    """The store could not be written, for want of space, say; what was there before still is."""


class StoreClosedError(StoreError):
    """The store was closed."""


class BudgetError(OptionError):
    """The byte budget is too small for what is asked of it.

    Attributes:
        budget: given, bytes.
        need: the least that would do, bytes.
    """

    def __init__(self, path: PathLike, budget: int, need: int, reason: str) -> None:
        self.budget, self.need = budget, need
        super().__init__(
            f"{os.fspath(path)}: budget_bytes={budget} is too small: {reason}, which takes {need} bytes; "
            f"set budget_bytes to {need} or more"
        )
