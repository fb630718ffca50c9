"""Fresh copies of a small array."""

from __future__ import annotations

from functools import partial
from itertools import chain, repeat
from typing import Any, cast

import numpy as np
import numpy.typing as npt

_STOCK = 32
"""Copies made at a time."""


class Copies(chain[npt.NDArray[np.int64]]):
    """Copies of an array without end; no two share memory.

    They are rows of a block, because NumPy takes half as long for that as for as many arrays.
    """

    @classmethod
    def of(cls, array: npt.NDArray[np.int64]) -> Copies:
        """Copies of ``array``."""
        blocks = map(partial(array[np.newaxis].repeat, axis=0), repeat(_STOCK))
        return cast("Copies", cls.from_iterable(blocks))

    def __reduce__(self) -> tuple[Any, ...]:
        """Let worlds be copied and pickled."""
        return Copies.of, (next(self),)
