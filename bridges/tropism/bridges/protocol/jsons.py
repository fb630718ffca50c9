"""Strict JSON: UTF-8, finite numbers, and arrays as base64 (docs/bridge-protocol.md, section 3)."""

from __future__ import annotations

import base64
import json
import math
from typing import Any, NoReturn

import numpy as np

from tropism.bridges.errors import InvalidValue, ProtocolError
from tropism.bridges.protocol.header import name_of

DEEPEST = 128
"""Objects and lists inside each other, at most; deeper ones would exhaust the stack of whoever walks through them."""

DTYPES = {
    "b1": np.dtype("?"),
    **{code: np.dtype("<" + code) for code in ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8")},
    **{code: np.dtype("<" + code) for code in ("f2", "f4", "f8")},
}
"""Element types by their code on the wire."""


def read_json(body: bytes | bytearray | memoryview, type: int) -> dict[str, Any]:  # noqa: A002
    """Read the JSON object that is the body of a message of this type.

    Raises:
        ProtocolError: it is not UTF-8, not JSON, not an object, too deep, or has a number that is not finite.
    """
    try:
        text = str(body, "utf-8")
        value = _DECODER.decode(text)
        if "\\u" in text:
            _ENCODER.encode(value).encode()  # half a surrogate pair is no text
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"{name_of(type)}: its body is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise ProtocolError(f"{name_of(type)}: its body is not a JSON object")
    if text.count("[") + text.count("{") > DEEPEST and _is_deep(value):
        raise ProtocolError(f"{name_of(type)}: its JSON is more than {DEEPEST} deep")
    return value


def write_json(value: object) -> bytes:
    """Write compact JSON.

    Raises:
        InvalidValue: it holds something that JSON cannot say, such as NaN or an array.
    """
    try:
        return _ENCODER.encode(value).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidValue(f"cannot be written as JSON: {error}") from None


def dtype_code(dtype: np.dtype) -> str:
    """The code of an element type.

    Raises:
        InvalidValue: the protocol has no such type.
    """
    code = f"{'b' if dtype.kind == 'b' else dtype.kind}{dtype.itemsize}"
    if code not in DTYPES:
        raise InvalidValue(f"elements of type {dtype} cannot be sent; use one of {sorted(DTYPES)}")
    return code


def array_to_json(array: np.ndarray) -> dict[str, Any]:
    """An array as `{"d": type, "s": shape, "b64": bytes}`."""
    code = dtype_code(array.dtype)
    return {"d": code, "s": list(array.shape), "b64": to_base64(array.astype(DTYPES[code]))}


def array_from_json(value: dict[str, Any]) -> np.ndarray:
    """The array written by `array_to_json`.

    Raises:
        ProtocolError: it is none.
    """
    shape, dtype = value.get("s"), DTYPES.get(str(value.get("d")))
    if dtype is None or not isinstance(shape, list) or not all(map(is_count, shape)):
        raise ProtocolError("an array in JSON needs a type `d` and a shape `s`")
    return from_base64(value.get("b64"), dtype, tuple(shape))


def to_base64(array: np.ndarray) -> str:
    """The bytes of an array in C order."""
    return base64.b64encode(array.tobytes()).decode()


def from_base64(text: object, dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
    """The array with these bytes (in memory of its own).

    Raises:
        ProtocolError: it is not base64 of just as many bytes.
    """
    if not isinstance(text, str):
        raise ProtocolError("an array in JSON needs its bytes `b64`")
    try:
        raw = base64.b64decode(text, validate=True)
    except ValueError as error:
        raise ProtocolError(f"an array in JSON is not base64: {error}") from None
    if len(raw) != math.prod(shape) * dtype.itemsize:
        raise ProtocolError(f"an array in JSON has {len(raw)} bytes, not those of {shape} {dtype}")
    try:
        return np.frombuffer(raw, dtype).reshape(shape).copy()
    except ValueError as error:  # too many dimensions, or beyond all memory in one that is not 0
        raise ProtocolError(f"an array in JSON: {error}") from None


def is_count(value: object) -> bool:
    """Whether this is an integer (no boolean) from 0 to 2^53 - 1."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53


def _is_deep(value: Any) -> bool:
    """Whether there are more than `DEEPEST` objects and lists inside each other; level by level."""
    level = [value]
    for _ in range(DEEPEST):
        inner = (part.values() if isinstance(part, dict) else part for part in level)
        level = [item for items in inner for item in items if isinstance(item, (dict, list))]
    return bool(level)


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"{text} is not finite")
    return value


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not finite")


_DECODER = json.JSONDecoder(parse_float=_finite, parse_constant=_no_constant)
_ENCODER = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False)
