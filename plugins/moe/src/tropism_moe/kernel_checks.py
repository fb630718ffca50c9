"""What products refuse: arrays whose shapes, dtypes or numbers do not fit."""

from __future__ import annotations

from typing import Any

import numpy as np

from tropism.errors import OptionError
from tropism_moe.budget import memory_row

UINT8, INT8, INT32, FLOAT32 = (np.dtype(kind) for kind in (np.uint8, np.int8, np.int32, np.float32))


def packed_rows(packed: np.ndarray) -> int:
    """How many rows packed weights have.

    Raises:
        OptionError: they are not ``uint8[N, W]``.
    """
    if packed.ndim != 2 or not packed.size or packed.shape[1] % 64:
        raise OptionError(
            f"packed weights must be uint8[N, W] with W a multiple of 64, got {list(packed.shape)}; "
            "use pack_2bit or transcode"
        )
    fit("packed weights", packed, UINT8, packed.shape)
    return len(packed)


def fit_columns(packed: np.ndarray, columns: int) -> None:
    """Refuse vectors of another length than the weights have.

    Raises:
        OptionError: naming the length and what was expected.
    """
    if not columns or memory_row(columns) != packed.shape[1]:
        most = 4 * packed.shape[1]
        raise OptionError(
            f"x must have {most - 255} to {most} columns, as the weights, got {columns}"
        )


def fit(name: str, array: np.ndarray, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    """Refuse another dtype, shape or order of memory.

    Raises:
        OptionError: naming the array, what was expected and what was found.
    """
    if array.dtype != dtype or array.shape != shape or not array.flags.c_contiguous:
        raise OptionError(
            f"{name} must be contiguous {dtype}{list(shape)}, got {array.dtype}{list(array.shape)}"
        )


def not_finite(name: str, x: np.ndarray) -> OptionError:
    """The error of a vector in which not every number is finite."""
    at = int(np.argmin(np.isfinite(x)))
    return OptionError(f"{name} must be finite, got {x[at]} at {at}")
