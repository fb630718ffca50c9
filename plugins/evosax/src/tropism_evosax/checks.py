"""Checks of options: a value out of range is refused with the field, the value and the range."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tropism.errors import OptionError, UnknownNameError


def check_integer(name: str, value: Any, low: int, high: int) -> None:
    """Refuse what is no integer in [``low``, ``high``].

    Raises:
        tropism.errors.OptionError: naming field, value and range.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise OptionError(f"{name} must be an integer in [{low}, {high}], got {value!r}")


def check_number(name: str, value: Any, low: float, high: float) -> None:
    """Refuse what is no number in [``low``, ``high``]; NaN is none.

    Raises:
        tropism.errors.OptionError: naming field, value and range.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise OptionError(f"{name} must be a number in [{low:g}, {high:g}], got {value!r}")


def check_flag(name: str, value: Any) -> None:
    """Refuse what is neither true nor false.

    Raises:
        tropism.errors.OptionError: naming field and value.
    """
    if not isinstance(value, bool):
        raise OptionError(f"{name} must be true or false, got {value!r}")


def check_name(kind: str, value: Any, known: Iterable[str]) -> None:
    """Refuse a name that is not among ``known``.

    Raises:
        tropism.errors.UnknownNameError: with the nearest names.
    """
    known = tuple(known)
    if value not in known:
        raise UnknownNameError(kind, value, known)
