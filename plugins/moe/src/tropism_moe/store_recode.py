"""The transform of slabs that are ternary matrices in base 3: they take in memory the form that is computed with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tropism.errors import ArtifactError
from tropism_moe.budget import disk_bytes, memory_bytes
from tropism_moe.packing import transcode
from tropism_moe.store_buffers import anonymous
from tropism_moe.store_format import BLOCK

Shapes = tuple[tuple[int, int], ...]
"""Rows and columns of every matrix."""


class Recode:
    """Matrices one after the other, in base 3 and then in 2 bits; a transform that compiled readers can do, too.

    Args:
        shapes: of what is known of a slab, those of its matrices, as many for every slab.
    """

    def __init__(self, shapes: Callable[[Mapping[str, Any]], Shapes]) -> None:
        self.shapes = shapes

    def size(self, meta: Mapping[str, Any]) -> int:
        """Bytes in memory."""
        return sum(memory_bytes(*shape) for shape in self.shapes(meta))

    def fits(self, length: int, meta: Mapping[str, Any]) -> bool:
        """Whether a slab of so many bytes can hold the matrices."""
        sizes = [n for shape in self.shapes(meta) for n in shape]
        return min(sizes, default=1) > 0 and length == self._on_disk(meta)

    def kept(self, length: int, meta: Mapping[str, Any]) -> int:
        """Bytes that are kept of a slab: as many as it has, if it cannot hold the matrices."""
        return self.size(meta) if self.fits(length, meta) else length

    def start(self, length: int, meta: Mapping[str, Any]) -> int:
        """Where in a buffer a slab is to be read to become, in the same buffer, what it is in memory: a whole number of blocks.

        Nothing takes less in memory than on disk.  So what is written gets the nearer to what is to be read the later it is, and does not
        overtake it if the last bytes do not.
        """
        if not self.fits(length, meta):
            return 0
        return -(-max(0, self.size(meta) - length) // BLOCK) * BLOCK

    def __call__(self, data: NDArray[np.uint8], meta: Mapping[str, Any]) -> NDArray[np.uint8]:
        """The matrices in memory, ``uint8[size]``.

        Raises:
            ArtifactError: the bytes are not as many as the shapes need, or no ternary weights.
        """
        size = self.size(meta)
        # pages of its own, which go when it does: those of an allocator stay, in an arena for every thread
        out = np.frombuffer(anonymous(size), np.uint8) if size > 0 else np.empty(0, np.uint8)
        self.into(data, meta, out)
        out.flags.writeable = False
        return out

    def into(
        self, data: NDArray[np.uint8], meta: Mapping[str, Any], out: NDArray[np.uint8]
    ) -> None:
        """The same into memory that is there."""
        shapes = self.shapes(meta)
        if not self.fits(data.size, meta):
            raise ArtifactError(
                f"a slab of matrices {shapes} in base 3 has {self._on_disk(meta)} bytes, found {data.size}: pack the model again"
            )
        start = first = 0
        for shape in shapes:
            end, last = start + disk_bytes(*shape), first + memory_bytes(*shape)
            transcode(data[start:end], shape, out[first:last].reshape(shape[0], -1))
            start, first = end, last

    def _on_disk(self, meta: Mapping[str, Any]) -> int:
        return sum(disk_bytes(*shape) for shape in self.shapes(meta))
