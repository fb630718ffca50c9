"""What is done to a state of a model that is served, whatever is in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from tropism_moe.serving_block import Indices, State


def forget(state: State, mask: npt.NDArray[np.bool_]) -> State:
    """The state with nothing read in the lanes of ``bool[B]``."""
    kept = ~mask
    return each(state, lambda x: x * kept.reshape(-1, *[1] * (x.ndim - 1)).astype(x.dtype))


def take(state: State, rows: Indices | slice) -> State:
    """The state of some lanes, ``int64[R]``; of a slice it is the same memory."""
    return each(state, lambda x: x[rows])


def each(state: State, change: Callable[[npt.NDArray[Any]], npt.NDArray[Any]]) -> State:
    """The state with every array changed."""
    return tuple(
        tuple(type(x)(*map(change, x)) if isinstance(x, tuple) else change(x) for x in block)  # pyright: ignore[reportCallIssue]
        for block in state
    )
