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
    _check(value, "value", 0)
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


def _check(value: Any, where: str, depth: int) -> None:
    if depth > _MAX_DEPTH:
        raise OptionError(f"{where[:80]} is nested more than {_MAX_DEPTH} deep, or contains itself")
    kind = type(value)
    if kind is dict:
        for key, item in value.items():
            _check_text(key, f"key {key!r} of {where}")
            _check(item, f"{where}[{key!r}]", depth + 1)
    elif kind is list:
        for index, item in enumerate(value):
            _check(item, f"{where}[{index}]", depth + 1)
    elif kind is str:
        _check_text(value, where)
    elif kind is float:
        raise OptionError(f"{where} is the float {value!r}; write a decimal string such as '0.5'")
    elif value is not None and kind not in (bool, int):
        raise OptionError(
            f"{where} has type {kind.__name__}; expected null, bool, int, str, list or dict"
        )


def _check_text(text: Any, where: str) -> None:
    if type(text) is not str:
        raise OptionError(f"{where} has type {type(text).__name__}; expected str")
    if text.isascii():
        return
    if not unicodedata.is_normalized("NFC", text):
        raise OptionError(f"{where} is not in NFC; pass unicodedata.normalize('NFC', text)")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise OptionError(f"{where} holds a lone surrogate, which UTF-8 cannot carry")


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
