"""The functional face of Chemotaxis."""

from __future__ import annotations

from typing import Any

from tropism.envs.chemotaxis.kernel_worlds import make_kernel
from tropism.envs.chemotaxis.levels import make_params
from tropism.envs.chemotaxis.observation import action_space, observation_space
from tropism.envs.chemotaxis.params import Params
from tropism.envs.core.functional import FunctionalEnv


def make_functional(level: str = "L0.2", **overrides: Any) -> tuple[FunctionalEnv, Params]:
    """Chemotaxis as JAX functions, with its parameters.  Needs the extra ``tropism[jax]``.

    A life is truncated after ``steps``, unless ``max_episode_steps`` says otherwise (-1: never).
    """
    import jax.numpy as jnp

    limit = overrides.pop("max_episode_steps", None) or make_params(level, **overrides).steps
    params = make_params(level, max_episode_steps=limit, **overrides)
    env = FunctionalEnv(
        lambda p: make_kernel(jnp, p),
        lambda p: (observation_space(p), action_space(p)),
        params,
        f"tropism/Chemotaxis-{level}-v0",
    )
    return env, params
