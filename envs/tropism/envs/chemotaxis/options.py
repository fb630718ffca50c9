"""Reset options: parts of an episode that a caller fixes, checked and turned into integers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tropism.envs.chemotaxis.params import UNIT, Params
from tropism.errors import OptionError, UnknownNameError

Array = npt.NDArray[Any]


class _Option(NamedTuple):
    """``shape`` of one lane's value, ``kinds`` of dtype it may have, greatest value along its last axis."""

    shape: tuple[int, ...]
    kinds: str
    high: tuple[float, ...]
    to_int: Callable[[Array], Array]


def _integers(value: Array) -> Array:
    return value.astype(np.int32)


def _units(value: Array) -> Array:
    return np.rint(value * UNIT).astype(np.int32)


def options(params: Params) -> dict[str, _Option]:
    """The options that ``reset`` takes, by name."""
    k, corner = params.total_sources, (params.width - 1, params.height - 1)
    needs = ("energy", "hydration", "integrity") if params.thirsty else ("energy", "integrity")
    return {
        "position": _Option((2,), "iu", corner, _integers),
        "sources": _Option((k, 2), "iu", corner, _integers),
        "harmful": _Option((k,), "b", (1,), _integers),
        "active": _Option((k,), "b", (1,), _integers),
    } | {need: _Option((), "iuf", (1,), _units) for need in needs}


def read_options(
    params: Params, given: Mapping[str, Any], lanes: int | None = None
) -> dict[str, Array]:
    """Reset options as ``int32`` arrays, with a leading axis of ``lanes`` unless that is ``None``.

    Energies become units.  In a vector a value without that axis holds for every lane.

    Raises:
        UnknownNameError: for an option the level does not have.
        OptionError: for a value of the wrong type, shape or range.
    """
    if not given:
        return {}
    known = options(params)
    for name in given:
        if name not in known:
            raise UnknownNameError("reset option", name, known)
    return {name: _read(name, known[name], value, lanes) for name, value in given.items()}


def _read(name: str, option: _Option, value: Any, lanes: int | None) -> Array:
    try:
        array = np.asarray(value)
    except ValueError:  # ragged
        array = np.empty(0, object)
    shapes = [option.shape] if lanes is None else [option.shape, (lanes, *option.shape)]
    if (
        array.shape not in shapes
        or array.dtype.kind not in option.kinds
        or not ((array >= 0) & (array <= np.array(option.high))).all()
    ):
        raise OptionError(f"reset option {name!r} must be {_wanted(option, lanes)}, got {value!r}")
    whole = option.to_int(array)
    return whole if lanes is None else np.broadcast_to(whole, (lanes, *option.shape))


def _wanted(option: _Option, lanes: int | None) -> str:
    kind = {"b": "booleans", "iu": "integers"}.get(option.kinds, "numbers")
    high = " or ".join(f"{n:g}" for n in dict.fromkeys(option.high))
    more = "" if lanes is None else f", or one for each of the {lanes} lanes"
    return f"{kind} of shape {option.shape} in [0, {high}]{more}"
