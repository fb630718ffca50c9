"""The functional face: an environment as pure JAX functions, in the calling convention of gymnax 1.0.

``step(key, state, action, params)`` returns six values and resets by itself (the new observation comes back at
once, the last one in ``info["final_observation"]``), like the vector face in ``SAME_STEP`` mode and with the
same bits.  Everything is safe under ``jit``, ``vmap`` and ``scan``.  All randomness comes from the key in the
state: the ``key`` of ``step`` is accepted for the convention and not used.
Source of the convention: gymnax 1.0, https://github.com/RobertTLange/gymnax (docs/api_rfc.md).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gymnasium.spaces import Space

from tropism.envs.core.changes import change_where
from tropism.envs.core.kernel_vector import ArrayKernel


class FunctionalEnv:
    """Pure functions over an array kernel.

    Args:
        kernel: ``kernel(params) -> ArrayKernel`` over ``jax.numpy``.
        spaces: ``spaces(params) -> (observation_space, action_space)``, of one lane.
        params: the default parameters; static, so they may be passed through ``jit``.
        env_id: for messages.
    """

    def __init__(
        self,
        kernel: Callable[[Any], ArrayKernel],
        spaces: Callable[[Any], tuple[Space[Any], Space[Any]]],
        params: Any,
        env_id: str,
    ) -> None:
        _make_static(type(params))
        self._kernel, self._spaces = kernel, spaces
        self.default_params, self.name = params, env_id

    def observation_space(self, params: Any = None) -> Space[Any]:
        """Observation space of one lane; integers come as int32."""
        return self._spaces(params or self.default_params)[0]

    def action_space(self, params: Any = None) -> Space[Any]:
        """Action space of one lane."""
        return self._spaces(params or self.default_params)[1]

    def reset(self, key: Any, params: Any = None) -> tuple[Any, Any]:
        """Begin episode 0 of ``key``: two uint32 words (``seed_key(seed)``) or a JAX random key.

        Returns:
            observation, state
        """
        import jax.numpy as jnp

        kernel, words = self._kernel(params or self.default_params), _words(key)
        state = kernel.reset(words, jnp.zeros(words.shape[:-1], jnp.int32))
        return kernel.observe(state), state

    def labels(self, state: Any, params: Any = None) -> dict[str, Any]:
        """The labels of ``state``, which ``step`` returns as ``info`` and ``reset`` has no place for."""
        return self._kernel(params or self.default_params).labels(state)

    def step_env(self, key: Any, state: Any, action: Any, params: Any = None) -> tuple[Any, ...]:
        """One step without auto-reset; ``info`` holds the labels of the state reached.

        Returns:
            observation, state, reward, terminated, truncated, info
        """
        import jax.numpy as jnp

        del key  # the state's own key makes every draw
        kernel = self._kernel(params or self.default_params)
        state = kernel.step(state, jnp.asarray(action))
        terminated, truncated = kernel.ended(state)
        return (
            kernel.observe(state),
            state,
            kernel.reward(state),
            terminated,
            truncated,
            kernel.labels(state),
        )

    def step(self, key: Any, state: Any, action: Any, params: Any = None) -> tuple[Any, ...]:
        """One step; where the episode ends, the next one of the same key begins.

        Returns:
            observation, state, reward, terminated, truncated, info; ``info`` has the labels of the observation
            returned, and ``terminated``, ``truncated``, ``final_observation`` of the step taken.
        """
        kernel = self._kernel(params or self.default_params)
        final, state, reward, terminated, truncated, _ = self.step_env(key, state, action, params)
        state = change_where(
            terminated | truncated, lambda old: kernel.reset(old.key, old.episode + 1), state
        )
        info = {
            **kernel.labels(state),
            "terminated": terminated,
            "truncated": truncated,
            "final_observation": final,
        }
        return kernel.observe(state), state, reward, terminated, truncated, info


def _words(key: Any) -> Any:
    """Two uint32 words of a raw or typed key."""
    import jax
    import jax.numpy as jnp

    if hasattr(key, "dtype") and jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
        key = jax.random.key_data(key)
    return jnp.asarray(key, jnp.uint32)


def _make_static(kind: type) -> None:
    """Let instances of a frozen dataclass pass through ``jit`` as compile-time constants."""
    import jax

    try:
        jax.tree_util.register_static(kind)
    except ValueError as error:
        if "uplicate" not in str(error):
            raise
