"""An environment as evolution sees it: pure functions, flat observations, and a few facts about a life.

Any id with a functional face will do whose actions are ``Discrete`` and whose observations are a flat ``Box``.
Facts that an environment does not label take neutral values; the return is then the fitness.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from gymnasium.spaces import Box, Discrete

from tropism.envs import make_functional
from tropism.envs.core.random import GOLDEN, MASK, Hash, mix
from tropism.errors import UnknownNameError, UnsupportedTaskError

UNIT = 6400
"""Units of a full level of energy, hydration or integrity in the chemotaxis ladder."""


class Outcome(NamedTuple):
    """What one step led to; scalars of one life.

    Attributes:
        observation: float32[num_inputs].
        state: of the environment.
        reward: float32.
        ended: bool.
        labels: of the state reached.
    """

    observation: jax.Array
    state: Any
    reward: jax.Array
    ended: jax.Array
    labels: dict[str, jax.Array]


class Face:
    """The functional face of ``env_id``, checked.

    Args:
        env_id: a registered id.
        kwargs: as for ``gym.make``.
        adult: with the schedules of development, if any, at their end values.

    Raises:
        UnsupportedTaskError: if evolution cannot run it, with the reason.
    """

    def __init__(
        self, env_id: str, kwargs: Mapping[str, Any] | None = None, *, adult: bool = False
    ):
        kwargs = dict(kwargs or {})
        try:
            self.env, self.params = make_functional(env_id, **kwargs)
        except UnknownNameError as error:
            if error.name != env_id:  # a keyword that the environment does not take
                raise
            raise UnsupportedTaskError(f"{env_id} has no functional face: {error}") from error
        development = getattr(self.params, "development", None)
        if adult and development is not None:
            self.params = replace(self.params, development=development.adult)
        self.env_id = env_id
        self.num_inputs, self.num_actions = self._sizes()
        self.steps = self._steps()

    def reset(self, key: jax.Array) -> tuple[jax.Array, Any, dict[str, jax.Array]]:
        """Observation, state and labels at the beginning of the episode of ``key``, uint32[2]."""
        observation, state = self.env.reset(key, self.params)
        return observation, state, self.env.labels(state, self.params)

    def step(self, state: Any, action: jax.Array) -> Outcome:
        """One step, without a reset at the end."""
        observation, state, reward, terminated, truncated, labels = self.env.step_env(
            None, state, action, self.params
        )
        return Outcome(observation, state, reward, terminated | truncated, labels)

    def _sizes(self) -> tuple[int, int]:
        seen, done = (
            self.env.observation_space(self.params),
            self.env.action_space(self.params),
        )
        if not isinstance(done, Discrete) or done.start != 0:
            raise UnsupportedTaskError(
                f"{self.env_id} takes {done}; evolved controllers choose among Discrete actions from 0 on"
            )
        if not isinstance(seen, Box) or len(seen.shape) != 1:
            hint = "; make it with flat=True" if "PatternWorld" in self.env_id else ""
            raise UnsupportedTaskError(
                f"{self.env_id} shows {seen}; evolved controllers read a flat Box of one dimension{hint}"
            )
        return seen.shape[0], int(done.n)

    def _steps(self) -> int:
        """Steps of a life: the environment's own limit, else the registered one."""
        for name in ("max_episode_steps", "steps"):
            if (getattr(self.params, name, None) or 0) > 0:
                return int(getattr(self.params, name))
        steps = gymnasium.spec(self.env_id).max_episode_steps
        if steps is None:
            raise UnsupportedTaskError(
                f"{self.env_id} has no end (max_episode_steps); a life needs one"
            )
        return steps


def keys_of_seeds(seeds: jax.Array) -> jax.Array:
    """The keys uint32[..., 2] that ``env.reset(seed=...)`` derives from seeds below 2**32.

    The array form of :func:`tropism.envs.core.random.seed_key`.
    """
    words = seeds.astype(jnp.uint32)
    first, second = mix(0x243F6A88), (mix(0x85A308D3) + GOLDEN) & MASK
    mixed = Hash(jnp).mix
    return jnp.stack([mixed(words ^ np.uint32(first)), mixed(words + np.uint32(second))], axis=-1)
