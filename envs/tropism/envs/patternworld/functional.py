"""The functional face of PatternWorld."""

from __future__ import annotations

from typing import Any

from tropism.envs.core.functional import FunctionalEnv
from tropism.envs.patternworld.kernel_hop import make_kernel
from tropism.envs.patternworld.observation import action_space, observation_space
from tropism.envs.patternworld.params import Params, make_params


def make_functional(tier: str = "Switch", **overrides: Any) -> tuple[FunctionalEnv, Params]:
    """PatternWorld as JAX functions, with its parameters.  Needs the extra ``tropism[jax]``."""
    import jax.numpy as jnp

    params = make_params(tier, **overrides)
    env = FunctionalEnv(
        lambda p: make_kernel(jnp, p),
        lambda p: (observation_space(p), action_space(p)),
        params,
        f"tropism/PatternWorld-{tier}-v0",
    )
    return env, params
