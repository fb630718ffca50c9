"""A config dataclass from a plain dictionary, as the command line, a suite or a JSON file gives it."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Literal, Union

from tropism.errors import OptionError, TropismError, UnknownNameError


def build_config(config_class: type, options: Mapping[str, Any] | None, *, owner: str) -> Any:
    """An instance of ``config_class`` with ``options`` laid over its defaults.

    JSON values are fitted to the annotation: a list becomes a tuple, a whole number a float; nothing else is
    converted.

    Args:
        config_class: a dataclass whose fields all have defaults.
        options: field name -> JSON value; ``None`` and ``{}`` give the defaults.
        owner: who is configured, for the message, e.g. ``"agent 'ppo'"``.

    Raises:
        tropism.errors.UnknownNameError: for a name that is no field, with the nearest ones.
        tropism.errors.OptionError: for a value of the wrong type, or one that ``config_class`` refuses.
    """
    hints = typing.get_type_hints(config_class)
    known = {field.name: hints[field.name] for field in fields(config_class) if field.init}
    values = {}
    for name, value in (options or {}).items():
        if name not in known:
            raise UnknownNameError(f"option of {owner}", name, known)
        values[name] = _fit(value, known[name], f"{owner}: option {name!r}")
    try:
        return config_class(**values)
    except TropismError:
        raise
    except (TypeError, ValueError) as error:
        raise OptionError(f"{owner} refuses {values}: {error}") from error


def _fit(value: Any, hint: Any, where: str) -> Any:
    """``value`` as the type ``hint``, or an :class:`OptionError` that says what was expected."""
    if is_dataclass(hint) and isinstance(hint, type):
        return (
            value
            if isinstance(value, hint)
            else build_config(hint, _mapping(value, where), owner=where)
        )
    origin = typing.get_origin(hint)
    if origin in (Union, types.UnionType):
        return _fit_union(value, hint, where)
    if origin is tuple and isinstance(value, list | tuple):
        return _fit_tuple(value, typing.get_args(hint), where)
    if not _matches(value, hint, origin):
        expected = getattr(hint, "__name__", None) if origin is None else str(hint)
        raise OptionError(
            f"{where} must be {expected or hint}, got {value!r} ({type(value).__name__})"
        )
    return float(value) if hint is float else value


def _matches(value: Any, hint: Any, origin: Any) -> bool:
    if hint is Any:
        return True
    if origin is Literal:
        return value in typing.get_args(hint)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, origin or hint)


def _fit_union(value: Any, hint: Any, where: str) -> Any:
    for option in typing.get_args(hint):
        try:
            return _fit(value, option, where)
        except OptionError:
            continue
    raise OptionError(f"{where} must be {hint}, got {value!r} ({type(value).__name__})")


def _fit_tuple(
    value: list[Any] | tuple[Any, ...], items: tuple[Any, ...], where: str
) -> tuple[Any, ...]:
    if len(items) == 2 and items[1] is Ellipsis:
        items = (items[0],) * len(value)
    if len(items) != len(value):
        raise OptionError(f"{where} must have {len(items)} items, got {value!r}")
    return tuple(_fit(v, hint, where) for v, hint in zip(value, items, strict=True))


def _mapping(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise OptionError(
            f"{where} must be a table of options, got {value!r} ({type(value).__name__})"
        )
    return value
