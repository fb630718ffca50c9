"""The body of a score entry in the ledger: everything needed to run it again and compare.

The ledger holds no floats, so metrics are decimal strings, and floats in configurations and task
arguments become ``{"$decimal": "0.001"}``, which ``unpack`` turns back into the same float.
"""

from __future__ import annotations

import math
import platform
from collections.abc import Mapping, Sequence
from typing import Any

from tropism.agents.manifest import cpu_model, versions
from tropism.errors import OptionError

KIND = "score"
"""The ``kind`` of ledger entries whose body ``score_body`` made."""

_TAG = "$decimal"


def score_body(
    *,
    agent: Mapping[str, str],
    config: Mapping[str, Any],
    task: Mapping[str, Any],
    env_version: str,
    budget: Mapping[str, Any],
    train_seed: int,
    eval_seeds: Sequence[int],
    metrics: Mapping[str, float],
    actions: Sequence[str],
) -> dict[str, Any]:
    """Describe one evaluated agent so that somebody else can run it again.

    ``tropism ledger reproduce`` rebuilds the cell from ``unpack(body)``, runs it, and compares the
    action-stream hashes with ``body["actions"]``, episode by episode.

    Args:
        agent: ``name`` as registered, ``distribution`` that provides it, its ``version``, and
            ``source``, a hash over the agent's sources.
        config: The agent's configuration.
        task: Fields of ``tropism.agents.Task``: ``env_id``, ``kwargs`` and so on; JSON values.
        env_version: Version of the distribution that registers the environment.
        budget: Fields of ``tropism.agents.Budget``.
        train_seed: Seed of the agent's training.
        eval_seeds: Seed of each evaluation episode, in order.
        metrics: Finite numbers by name; ``None`` where a metric does not apply.
        actions: ``Episode.action_hash`` of each evaluation episode, in the order of ``eval_seeds``.

    Returns:
        A body for ``Ledger.append(KIND, body)`` with the arguments under their own names, plus
        ``versions`` (by package) and ``machine`` (``cpu``, ``python``, ``platform``).

    Raises:
        OptionError: If a field is missing, a metric is not finite, or the number of hashes is not
            the number of evaluation seeds.
    """
    _need("agent", agent, ("name", "distribution", "version", "source"))
    _need("task", task, ("env_id", "kwargs"))
    if len(actions) != len(eval_seeds):
        raise OptionError(f"actions has {len(actions)} hashes for {len(eval_seeds)} eval_seeds")
    return {
        "agent": dict(agent),
        "config": pack(config),
        "task": pack(task),
        "env_version": env_version,
        "budget": pack(budget),
        "train_seed": int(train_seed),
        "eval_seeds": [int(seed) for seed in eval_seeds],
        "metrics": {name: _decimal(name, value) for name, value in metrics.items()},
        "actions": list(actions),
        "versions": versions(),
        "machine": {
            "cpu": cpu_model(),
            "python": platform.python_version(),
            "platform": platform.platform(),
        },
    }


def pack(value: Any) -> Any:
    """Return JSON-like ``value`` without floats, as the ledger needs it; tuples become lists.

    Raises:
        OptionError: If a float is not finite, or an object already uses the key ``$decimal``.
    """
    if isinstance(value, float):
        return {_TAG: _decimal("a packed value", value)}
    if isinstance(value, Mapping):
        if _TAG in value:
            raise OptionError(f"the key {_TAG!r} is reserved for packed floats; rename it")
        return {key: pack(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [pack(item) for item in value]
    return value


def unpack(value: Any) -> Any:
    """Return what ``pack`` was given, with lists for tuples."""
    if isinstance(value, dict):
        if value.keys() == {_TAG}:
            return float(value[_TAG])
        return {key: unpack(item) for key, item in value.items()}
    if isinstance(value, list):
        return [unpack(item) for item in value]
    return value


def _decimal(name: str, value: float | None) -> str | None:
    """The shortest decimal string that reads back as the same float64."""
    if value is None:
        return None
    if not math.isfinite(value):
        raise OptionError(f"{name}={value!r} is not finite; leave out a metric that does not apply")
    return repr(float(value))


def _need(field: str, given: Mapping[str, Any], names: tuple[str, ...]) -> None:
    missing = [name for name in names if name not in given]
    if missing:
        raise OptionError(f"{field} lacks {', '.join(missing)}; expected {', '.join(names)}")
