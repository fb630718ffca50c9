"""What infos, options and results of calls look like inside JSON: numpy arrays keep type, shape and bits.

JSON has no arrays of bytes and no NaN. An array, and a number that is not finite, is written
`{"d": type, "s": [shape], "b64": base64 of its bytes}` (docs/bridge-protocol.md, section 3).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from tropism.bridges.errors import InvalidValue
from tropism.bridges.protocol.jsons import array_from_json, array_to_json

DEEPEST = 32


def to_json(value: Any, dropped: list[str] | None = None) -> Any:
    """Turn a value into what `json.dumps` takes.

    Numpy scalars become numbers, tuples lists.

    Args:
        value: anything.
        dropped: if given, entries of dicts that JSON cannot hold are left out and their paths
            appended here.

    Raises:
        TypeError: JSON cannot hold the value, and it was not inside a dict or `dropped` is None.
    """
    return _write(value, "", dropped, 0)


def from_json(value: Any) -> Any:
    """Turn arrays inside parsed JSON back into numpy arrays (zero-dimensional ones into scalars).

    Raises:
        ProtocolError: an array's type, shape and bytes do not fit each other.
    """
    if isinstance(value, list):
        return [from_json(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {"d", "s", "b64"}:
        return array_from_json(value)[()]
    return {key: from_json(item) for key, item in value.items()}


def _write(value: Any, path: str, dropped: list[str] | None, depth: int) -> Any:
    if isinstance(value, np.generic):
        value = value.item()  # never an array: those of no dimension stay ndarray
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else _write_array(np.asarray(value), path)
    if isinstance(value, np.ndarray):
        return _write_array(value, path)
    if depth == DEEPEST:
        raise TypeError(f"{path}: nested deeper than {DEEPEST}")
    if isinstance(value, Mapping):
        return _write_dict(value, path, dropped, depth + 1)
    if isinstance(value, (list, tuple)):
        return [_write(item, f"{path}[{i}]", None, depth + 1) for i, item in enumerate(value)]
    raise TypeError(f"{path or 'value'}: JSON cannot hold a {type(value).__name__}")


def _write_dict(value: Mapping, path: str, dropped: list[str] | None, depth: int) -> dict[str, Any]:
    result = {}
    for key, item in value.items():
        where = f"{path}.{key}" if path else str(key)
        try:
            if not isinstance(key, str):
                raise TypeError(f"{where}: a key of JSON is a string, not a {type(key).__name__}")
            result[key] = _write(item, where, dropped, depth)
        except TypeError:
            if dropped is None:
                raise
            dropped.append(where)
    return result


def _write_array(array: np.ndarray, path: str) -> Any:
    if array.dtype.kind == "U":
        return array.tolist()
    try:
        return array_to_json(array)
    except InvalidValue as error:
        raise TypeError(f"{path or 'value'}: {error}") from None
