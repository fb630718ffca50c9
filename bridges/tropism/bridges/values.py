"""Whether what crosses the bridge lies in its space: NaN, infinity and values out of bounds, by key and index."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from gymnasium import spaces

from tropism.bridges.errors import InvalidValue
from tropism.errors import UnknownNameError

LARGEST = float(np.finfo(np.float64).max)
POLICIES = ("off", "warn", "clip", "raise")


class ValueCheck:
    """Checks values of one space.

    Only numbers are looked at: shapes, types and keys are checked where values are laid out.  Leaves whose every
    value is allowed cost nothing.

    Args:
        space: of the values.
        policy: ``off``, ``warn`` (once a key), ``clip`` (arrays in place; NaN becomes the nearest value to 0) or ``raise``.
        name: what to call them, such as "observation".
    """

    def __init__(self, space: spaces.Space, policy: str, name: str) -> None:
        if policy not in POLICIES:
            raise UnknownNameError("check_values", str(policy), POLICIES)
        self.policy, self.name = policy, name
        bounded = () if policy == "off" else _bounded(space, "", ())
        self._checks = [(*leaf, _within(*leaf[2:])) for leaf in bounded]
        sole = len(self._checks) == 1 and not self._checks[0][1]
        self._sole = self._checks[0][-1] if sole else None  # the usual case, worth a short way
        self._warned: set[str] = set()
        self.needed = bool(self._checks)

    def __call__(self, value: Any) -> Any:
        """The value, mended if the policy is ``clip``.

        Raises:
            InvalidValue: if the policy is ``raise``; the text names key and index.  Also if it has no numbers where they
                should be.
        """
        if self._sole is not None and type(value) is np.ndarray and self._sole(value):
            return value
        for path, keys, low, high, within in self._checks:
            try:
                leaf = value
                for key in keys:
                    leaf = leaf[key]
                fine = within(leaf)
            except (TypeError, LookupError, ValueError):
                raise InvalidValue(f"{self.name}{path} has no such part, or no numbers") from None
            if not fine:
                value = self._treat(value, path, keys, leaf, low, high)
        return value

    def _treat(self, value: Any, path: str, keys: tuple, leaf: Any, low: Any, high: Any) -> Any:
        text = f"{self.name}{path}{_first_wrong(leaf, low, high)}"
        if self.policy == "raise":
            raise InvalidValue(text)
        if self.policy == "clip":
            return _replaced(value, keys, _clipped(leaf, low, high))
        if path not in self._warned:
            self._warned.add(path)
            warnings.warn(f"{text} (said once a key)", stacklevel=4)
        return value


def _bounded(space: spaces.Space, path: str, keys: tuple) -> Any:
    """``(path, keys, low, high)`` of every leaf that can be wrong."""
    if isinstance(space, spaces.Dict):
        for name, part in space.items():
            yield from _bounded(part, f"{path}[{name!r}]", (*keys, name))
    elif isinstance(space, spaces.Tuple):
        for index, part in enumerate(space):
            yield from _bounded(part, f"{path}[{index}]", (*keys, index))
    elif isinstance(space, spaces.Discrete):
        yield path, keys, int(space.start), int(space.start + space.n - 1)
    elif isinstance(space, spaces.MultiDiscrete):
        yield path, keys, space.start, space.start + space.nvec - 1
    elif isinstance(space, spaces.MultiBinary):
        yield path, keys, 0, 1
    elif isinstance(space, spaces.Box) and not _all_allowed(space):
        yield path, keys, _narrow(space.low), _narrow(space.high)


def _all_allowed(box: spaces.Box) -> bool:
    """Whether no value of the type is out of bounds."""
    if box.dtype.kind not in "iu":
        return box.dtype.kind == "b"
    info = np.iinfo(str(box.dtype))
    return bool((box.low == info.min).all() and (box.high == info.max).all())


def _narrow(bound: np.ndarray) -> Any:
    """One number if it is the same everywhere: comparing with it is cheaper."""
    if bound.size and (bound == bound.flat[0]).all():
        return bound.flat[0]
    return bound


def _within(low: Any, high: Any) -> Callable[[Any], bool]:
    """A function that tells whether all numbers of a leaf are finite and in these bounds."""
    if isinstance(low, np.ndarray) or isinstance(high, np.ndarray):
        return lambda leaf: bool(((leaf >= low) & (leaf <= high) & np.isfinite(leaf)).all())
    least, most = max(np.asarray(low).item(), -LARGEST), min(np.asarray(high).item(), LARGEST)
    ndarray = np.ndarray

    def within(leaf: Any) -> bool:
        if type(leaf) is not ndarray:
            leaf = np.asarray(leaf)
        if leaf.size < 2:
            return leaf.size == 0 or least <= leaf.item() <= most
        # these find a NaN before any number, in a tenth of the time of `min` and `max`
        return least <= leaf.item(leaf.argmin()) and leaf.item(leaf.argmax()) <= most

    return within


def _first_wrong(leaf: Any, low: Any, high: Any) -> str:
    array = np.asarray(leaf)
    wrong = ~((array >= low) & (array <= high) & np.isfinite(array))
    index = tuple(int(i) for i in np.argwhere(wrong)[0]) if array.ndim else ()
    lowest, highest = (np.broadcast_to(bound, array.shape)[index] for bound in (low, high))
    where = "".join(f"[{i}]" for i in index)
    return f"{where} is {array[index]}, not in [{lowest}, {highest}]"


def _clipped(leaf: Any, low: Any, high: Any) -> Any:
    array = np.asarray(leaf)
    if array.dtype.kind == "f":
        array = np.nan_to_num(array, nan=0.0)  # infinities become the largest number
    clipped = np.clip(array, low, high).astype(array.dtype)
    return clipped if isinstance(leaf, np.ndarray) else clipped[()]


def _replaced(value: Any, keys: tuple, leaf: Any) -> Any:
    """The value with another leaf; what contains it is copied, not changed."""
    if not keys:
        return leaf
    key, *rest = keys
    part = _replaced(value[key], tuple(rest), leaf)
    if isinstance(value, dict):
        return {**value, key: part}
    return (*value[:key], part, *value[key + 1 :])
