"""Gymnasium spaces as JSON values, so that an agent knows what it was trained for."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium import spaces


def space_to_json(space: spaces.Space[Any]) -> dict[str, Any]:
    """Describe ``space`` so that equal spaces give equal values.

    Raises:
        TypeError: for a kind of space no agent of this plugin takes.
    """
    kind = type(space).__name__
    if isinstance(space, spaces.Dict):
        return {"kind": kind, "spaces": {k: space_to_json(s) for k, s in space.spaces.items()}}
    if isinstance(space, spaces.Box):
        bounds = {"low": _numbers(space.low), "high": _numbers(space.high)}
        return {"kind": kind, "shape": list(space.shape), "dtype": space.dtype.name, **bounds}
    if isinstance(space, spaces.Discrete):
        return {"kind": kind, "n": int(space.n), "start": int(space.start)}
    if isinstance(space, spaces.MultiDiscrete):
        return {"kind": kind, "nvec": space.nvec.tolist(), "start": space.start.tolist()}
    if isinstance(space, spaces.MultiBinary):
        return {"kind": kind, "shape": list(space.shape)}
    raise TypeError(f"no JSON form of {space}")


def _numbers(bound: npt.NDArray[Any]) -> Any:
    """A bound as nested lists, or as one number where it is the same everywhere; infinities as text."""
    flat = bound.ravel()
    if flat.size and (flat == flat[0]).all():
        return _number(flat[0])
    return [_number(value) for value in flat]


def _number(value: Any) -> float | str:
    return float(value) if np.isfinite(value) else str(float(value))
