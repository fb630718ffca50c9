"""What brings slabs from a file: the face that all residency modes share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from tropism_moe.store_format import Slab

Transform = Callable[[NDArray[np.uint8], dict[str, Any]], Any]
"""``transform(data, meta)``: what is kept of a slab, an object with ``nbytes`` or a tuple of such; called by several threads."""


class Loaded(NamedTuple):
    """A slab in memory.

    Attributes:
        slab: where it is from.
        value: its bytes, or what a transform made of them, or a buffer that lends them.
        nbytes: that the value takes.
    """

    slab: Slab
    value: Any
    nbytes: int


class Source(Protocol):
    """What brings slabs from the file.

    Attributes:
        direct: whether it reads past the page cache (O_DIRECT).
    """

    direct: bool

    def size(self, slab: Slab) -> int:
        """Bytes that a slab takes if it is not transformed."""
        ...

    def load(self, slab: Slab) -> Loaded:
        """Read, check and transform a slab; called by several threads."""
        ...

    def in_use(self, loaded: Loaded) -> bool:
        """Whether somebody has an array whose memory :meth:`release` would give away."""
        ...

    def release(self, loaded: Loaded) -> None:
        """Give away what a slab takes."""
        ...

    def close(self) -> None:
        """Close the file."""
        ...


def held_bytes(value: Any) -> int:
    """Bytes of what a transform made."""
    if isinstance(value, tuple):
        return sum(held_bytes(part) for part in value)
    return int(value.nbytes)
