"""How functions are compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit
from numba.extending import intrinsic


def compiled(function: Callable[..., Any]) -> Any:
    """Compile for this CPU, to run without the GIL; kept on disk for later processes wherever there is a place to write."""
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
    try:
        return njit(cache=True, **options)(function)
    except RuntimeError:  # neither beside the source nor in the user's cache
        return njit(**options)(function)


def generated(function: Callable[..., Any]) -> Any:
    """A function whose LLVM code is written by hand; compiled ones call it, with fewer arguments than type checkers see."""
    return intrinsic(function)
