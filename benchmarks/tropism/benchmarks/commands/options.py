"""Arguments that several subcommands share."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from tropism.errors import OptionError, TropismError, UnknownNameError

if TYPE_CHECKING:
    from tropism.agents.contract import Task


def pairs(given: Iterable[str], option: str) -> dict[str, Any]:
    """``key=value`` arguments as a dictionary; a value is JSON if it parses as such, else text.

    Raises:
        OptionError: For an argument without ``=``.
    """
    parsed: dict[str, Any] = {}
    for argument in given:
        key, equals, value = argument.partition("=")
        if not equals or not key:
            raise OptionError(f"{option} {argument!r} must be key=value, for example seed=3")
        parsed[key] = _value(value)
    return parsed


def known_task(env_id: str, kwargs: dict[str, Any] | None = None) -> Task:
    """The task on a registered environment.

    Raises:
        UnknownNameError: If nobody registered ``env_id``; the nearest ids are suggested.
        OptionError: If the environment refuses ``kwargs``.
    """
    from tropism.agents.contract import Task

    task = Task(known_env(env_id), kwargs or {})
    try:
        task.spaces()
    except (
        TypeError,
        ValueError,
    ) as error:  # a keyword or value that its constructor does not take
        if isinstance(error, TropismError):
            raise
        raise OptionError(f"{env_id} does not take {kwargs}: {error}") from error
    return task


def known_env(env_id: str) -> str:
    """``env_id`` if it is registered, by the suite, Gymnasium or a plugin.

    Raises:
        UnknownNameError: If it is not.
    """
    import gymnasium

    import tropism.envs  # noqa: F401  registers the ids
    from tropism.agents.plugins import default_host

    default_host().register_envs()
    if env_id not in gymnasium.registry:
        raise UnknownNameError("environment", env_id, gymnasium.registry)
    return env_id


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
