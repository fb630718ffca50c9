"""Values within limits: what is out of range is refused with its name, the value and the range.

Like :mod:`tropism.errors` this stands beside the four parts and loads nothing, so that a configuration can be checked
before a framework is imported.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields
from functools import partial
from numbers import Integral, Real
from typing import Any

from tropism.errors import OptionError

Limits = tuple[float, float]
"""Lowest and greatest value; two integers stand for an integer.  The greatest may be infinity, which no value is."""


def check_number(
    name: str, value: Any, low: float, high: float, *, integer: bool = False, numpy: bool = False
) -> None:
    """Refuse what is no number in [``low``, ``high``]; NaN and infinity are none.

    Args:
        name: of the field, for the message.
        value: to be checked.
        low: the lowest.
        high: the greatest; infinity for no limit.
        integer: ask for an integer.
        numpy: take numbers of NumPy, too; not for what becomes JSON.

    Raises:
        OptionError: naming field, value and range.
    """
    kinds: Any = (Integral if integer else Real) if numpy else (int if integer else (int, float))
    number = isinstance(value, kinds) and not isinstance(value, bool)
    if number and low <= value <= high and value != math.inf:
        return
    kind = "an integer" if integer else "a number"
    limits = f">= {low}" if high == math.inf else f"in [{low}, {high}]"
    raise OptionError(f"{name} must be {kind} {limits}, got {value!r}")


within = partial(check_number, numpy=True)
"""The same for environments, whose arguments may come out of arrays."""


def check_fields(config: Any, limits: Mapping[str, Limits], prefix: str = "") -> None:
    """Refuse fields out of range; ``None`` is allowed where it is the default.

    Args:
        config: an instance of a dataclass.
        limits: by the names of fields; those that ``config`` lacks are left out.
        prefix: before each name in the message.

    Raises:
        OptionError: naming field, value and range.
    """
    for field in fields(config):
        value = getattr(config, field.name)
        if field.name in limits and not (value is None and field.default is None):
            low, high = limits[field.name]
            check_number(prefix + field.name, value, low, high, integer=isinstance(low, int))


def check_flag(name: str, value: Any) -> None:
    """Refuse what is neither true nor false.

    Raises:
        OptionError: naming field and value.
    """
    if not isinstance(value, bool):
        raise OptionError(f"{name} must be true or false, got {value!r}")
