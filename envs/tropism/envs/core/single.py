"""The single-environment face: a ``gymnasium.Env`` over a plain-Python reference."""

from __future__ import annotations

import operator
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
from gymnasium.error import InvalidAction, ResetNeeded

from tropism.envs.core.baselines import Baseline
from tropism.envs.core.random import Key, seed_key
from tropism.errors import UnknownNameError
from tropism.limits import within


class ReferenceEnv(gymnasium.Env[Any, Any]):
    """Seeding, errors and rendering that all single environments share.

    A seeded reset derives the key and sets episode 0; an unseeded one increments the episode; nothing else is
    ever drawn, so vectors and jitted rollouts can follow.  Without any seed the key comes from ``np_random``.

    Args:
        render_mode: one of ``metadata["render_modes"]`` or ``None``.
    """

    metadata: dict[str, Any] = {"render_modes": [], "render_fps": 8, "labels": ()}  # noqa: RUF012  as Gymnasium types it
    baselines: tuple[str, ...] = ("random",)
    """Names that :meth:`make_baseline` knows."""

    def __init__(self, render_mode: str | None = None) -> None:
        if render_mode is not None and render_mode not in self.metadata["render_modes"]:
            raise UnknownNameError("render mode", render_mode, self.metadata["render_modes"])
        self.render_mode = render_mode
        self._episode_key: Key | None = None
        self._episode = -1

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begin an episode; ``options`` fix parts of it (see the environment's documentation)."""
        super().reset(seed=seed)
        if seed is not None:
            self._episode_key, self._episode = seed_key(seed), 0
        elif self._episode_key is None:
            # The seed that np_random was born with, so that ``reset(seed=env.np_random_seed)`` repeats it.
            born = self.np_random_seed
            fresh = born if born is not None and born >= 0 else int(self.np_random.integers(2**62))
            self._episode_key, self._episode = seed_key(fresh), 0
        else:
            self._episode += 1
        return self._begin(self._episode_key, self._episode, options or {})

    @abstractmethod
    def _begin(
        self, key: Key, episode: int, options: Mapping[str, Any]
    ) -> tuple[Any, dict[str, Any]]:
        """Observation and info of the first step of ``episode``."""

    def make_baseline(self, name: str, num_lanes: int) -> Baseline:
        """The baseline ``name`` for ``num_lanes`` lanes; this class knows ``random``, subclasses more.

        Raises:
            UnknownNameError: for a name not in :attr:`baselines`.
        """
        if name != "random":
            raise UnknownNameError(f"baseline of {type(self).__name__}", name, self.baselines)
        from tropism.envs.core.uniform import UniformBaseline

        return UniformBaseline(num_lanes, self.action_space)


def discrete_action(action: Any, n: int) -> int:
    """``action`` as an int in ``[0, n)``.

    Raises:
        gymnasium.error.InvalidAction: if it is no integer scalar or out of range.
    """
    try:
        if isinstance(action, (bool, np.bool_)):
            raise TypeError
        index = operator.index(action)
    except TypeError:
        raise InvalidAction(
            f"action must be an integer in [0, {n}), got {action!r} of type {type(action).__name__}"
        ) from None
    if not 0 <= index < n:
        raise InvalidAction(f"action must be an integer in [0, {n}), got {index}")
    return index


def need_reset(when: str) -> ResetNeeded:
    """The error of a step that comes ``when`` no episode is running."""
    return ResetNeeded(f"step() was called {when}: call reset() first")


def check_options(
    options: Mapping[str, Any], ranges: Mapping[str, tuple[int, int]]
) -> dict[str, int]:
    """Reset options as ints, each within its inclusive range.

    Raises:
        UnknownNameError: for an option the environment does not have.
        OptionError: for a value that is no integer or out of range.
    """
    checked: dict[str, int] = {}
    for name, value in options.items():
        if name not in ranges:
            raise UnknownNameError("reset option", name, ranges)
        low, high = ranges[name]
        within(f"reset option {name!r}", value, low, high, integer=True)
        checked[name] = int(value)
    return checked
