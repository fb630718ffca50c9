"""How functions are compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.core.registry import cpu_target
from numba.extending import intrinsic
from numba.np.numpy_support import carray

_TARGET: Any = cpu_target.target_context
FEATURES = frozenset(_TARGET.codegen().magic_tuple()[2].split(","))
"""Of the CPU, as LLVM writes them, ``+avx2`` say: those of the host, less what settings of numba take away."""


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


@generated
def _pointer(_typing: Any, address: Any) -> Any:  # noqa: ARG001  types by name
    """An address as a pointer to bytes."""

    def emit(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.inttoptr(args[0], ir.IntType(8).as_pointer())

    return types.CPointer(types.uint8)(types.int64), emit


@compiled
def bytes_at(address, size):
    """So many bytes from an address on, ``uint8[size]``, of memory that somebody else keeps."""
    return carray(_pointer(address), (size,))
