"""Wrappers that take the labels out of ``info``, so that no agent can read the answers.

Labels are the keys an environment lists in ``metadata["labels"]``; a wrapper that adds one lists it there too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import gymnasium
from gymnasium.utils import RecordConstructorArgs
from gymnasium.vector import VectorEnv, VectorWrapper


class HideLabels(gymnasium.Wrapper[Any, Any, Any, Any], RecordConstructorArgs):
    """Remove the labels of one environment from the ``info`` of ``reset`` and ``step``.

    Args:
        env: any environment; without ``metadata["labels"]`` nothing is removed.
    """

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        RecordConstructorArgs.__init__(self)
        gymnasium.Wrapper.__init__(self, env)
        self._hidden = frozenset(env.metadata.get("labels", ()))

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Reset, and return ``info`` without labels."""
        observation, info = self.env.reset(seed=seed, options=options)
        return observation, visible(info, self._hidden)

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Step, and return ``info`` without labels."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        return observation, reward, terminated, truncated, visible(info, self._hidden)


class HideVectorLabels(VectorWrapper, RecordConstructorArgs):
    """Remove the labels of a vector environment, their ``_label`` masks, and both inside ``final_info``.

    Args:
        env: any vector environment; Gymnasium's own take over the ``metadata`` of their lanes.
    """

    def __init__(self, env: VectorEnv[Any, Any, Any]) -> None:
        RecordConstructorArgs.__init__(self)
        VectorWrapper.__init__(self, env)
        self._hidden = hidden_keys(env)

    def reset(
        self, *, seed: Any = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Reset, and return ``info`` without labels."""
        observation, info = self.env.reset(seed=seed, options=options)
        return observation, self._hide(info)

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """Step, and return ``info`` without labels."""
        observation, reward, terminated, truncated, info = self.env.step(actions)
        return observation, reward, terminated, truncated, self._hide(info)

    def _hide(self, info: Mapping[str, Any]) -> dict[str, Any]:
        kept = visible(info, self._hidden)
        if "final_info" in kept:
            kept["final_info"] = visible(kept["final_info"], self._hidden)
        return kept


def vector_labels(env: VectorEnv[Any, Any, Any]) -> tuple[str, ...]:
    """Names of the labels in the ``info`` of a vector environment."""
    return tuple(env.metadata.get("labels", ()))


def hidden_keys(env: VectorEnv[Any, Any, Any]) -> frozenset[str]:
    """Keys of the ``info`` of a vector environment that hold labels or their ``_label`` masks."""
    labels = vector_labels(env)
    return frozenset(labels) | {f"_{name}" for name in labels}


def visible(info: Mapping[str, Any], hidden: Iterable[str]) -> dict[str, Any]:
    """``info`` without the hidden keys."""
    return {name: value for name, value in info.items() if name not in hidden}
