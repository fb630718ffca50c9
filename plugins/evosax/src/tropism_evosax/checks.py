"""Checks of options beyond those of :mod:`tropism.limits`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tropism.errors import UnknownNameError


def check_name(kind: str, value: Any, known: Iterable[str]) -> None:
    """Refuse a name that is not among ``known``.

    Raises:
        tropism.errors.UnknownNameError: with the nearest names.
    """
    known = tuple(known)
    if value not in known:
        raise UnknownNameError(kind, value, known)
