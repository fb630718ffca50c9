"""Canonical JSON for hashing: each value has exactly one encoding, and no other is accepted.

The subset: ``null``, booleans, integers, strings in Unicode NFC, lists, objects with string keys.
Keys are sorted by code point, there is no white space, text is UTF-8. Floats are refused, since
their shortest form differs between languages; a score travels as a decimal string (``"0.966"``).
"""

from __future__ import annotations

import json
import unicodedata
from typing import Any, NoReturn

from tropism.errors import OptionError

_MAX_DEPTH = 64  # deeper than any entry, shallower than the recursion limit


def encode(value: Any) -> bytes:
    """Return the one canonical encoding of ``value``.

    Raises:
        OptionError: If the value is outside the subset; the message names the part that is.
    """
    fault = _outside(value, 0)
    if fault:
        raise OptionError(f"value{fault}")
    return _dump(value)


def decode(data: bytes) -> Any:
    """Return the value that ``data`` encodes; every call builds new objects.

    Raises:
        OptionError: If the data is no JSON, holds a float, NaN, infinity or a repeated key, or is
            otherwise not byte for byte what ``encode`` would write.
    """
    try:
        value = _DECODER.decode(data.decode())
        canonical = _dump(value) == data and _is_nfc(data)
    except (ValueError, RecursionError) as error:
        raise OptionError(f"not canonical JSON: {error}") from error
    if not canonical:
        raise OptionError(f"not canonical JSON: {_fault(data)}")
    return value


def _outside(value: Any, depth: int) -> str | None:
    """Say where ``value`` leaves the subset, and how; ``None`` if it does not."""
    kind = type(value)
    if kind is str:
        return _fault_of_text(value)
    if value is None or kind is int or kind is bool:
        return None
    if kind is float:
        return f" is the float {value!r}; write a decimal string such as '0.5'"
    if kind is not dict and kind is not list:
        return f" has type {kind.__name__}; expected null, bool, int, str, list or dict"
    if depth == _MAX_DEPTH:
        return f" is nested more than {_MAX_DEPTH} deep, or contains itself"
    return _outside_object(value, depth) if kind is dict else _outside_list(value, depth)


def _outside_object(value: dict[Any, Any], depth: int) -> str | None:
    for key, item in value.items():
        if type(key) is not str:
            return f" has the key {key!r} of type {type(key).__name__}; expected str"
        if fault := _fault_of_text(key):
            return f": the key {key!r}{fault}"
        if fault := _outside(item, depth + 1):
            return f"[{key!r}]{fault}"
    return None


def _outside_list(value: list[Any], depth: int) -> str | None:
    for index, item in enumerate(value):
        if fault := _outside(item, depth + 1):
            return f"[{index}]{fault}"
    return None


def _fault_of_text(text: str) -> str | None:
    if text.isascii():
        return None
    if not unicodedata.is_normalized("NFC", text):
        return " is not in NFC; pass unicodedata.normalize('NFC', text)"
    if any("\ud800" <= character <= "\udfff" for character in text):
        return " holds a lone surrogate, which UTF-8 cannot carry"
    return None


def _is_nfc(data: bytes) -> bool:
    # No JSON delimiter combines with what follows it, so the whole is NFC when every string is.
    return data.isascii() or unicodedata.is_normalized("NFC", data.decode())


def _dump(value: Any) -> bytes:
    return _ENCODER.encode(value).encode()


def _fault(data: bytes) -> str:
    """Say why data that parses is not canonical."""
    try:
        json.loads(data, object_pairs_hook=_unique)
    except OptionError as error:
        return str(error)
    if not _is_nfc(data):
        return "its text is not in Unicode NFC"
    return "keys out of order, white space, a needless escape, or -0"


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    for key in keys:
        if keys.count(key) > 1:
            raise OptionError(f"the key {key!r} occurs twice in one object")
    return dict(pairs)


def _refuse_number(text: str) -> NoReturn:
    raise OptionError(f"{text} is no integer; numbers with a fraction are decimal strings")


_ENCODER = json.JSONEncoder(
    ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False
)
_DECODER = json.JSONDecoder(parse_float=_refuse_number, parse_constant=_refuse_number)
