"""A change that few lanes need, for JAX: no work while none does."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any


def change_where(mask: Any, change: Callable[..., Any], state: Any, *given: Any) -> Any:
    """``change(state, *given)`` in the lanes of ``mask``, else ``state``; computed only if there is such a lane.

    Args:
        mask: bool[...].
        change: a pure function; returns a ``state`` of the same shapes.
        state: any nest of arrays [..., *].
        given: more arrays that ``change`` needs.
    """
    import jax

    def changed(mask: Any, state: Any, *given: Any) -> Any:
        return jax.tree.map(partial(_where, mask), change(state, *given), state)

    def rarely(mask: Any, state: Any, *given: Any) -> Any:
        return jax.lax.cond(mask.any(), changed, lambda _, old, *__: old, mask, state, *given)

    # ``vmap`` of a plain ``cond`` would compute both branches for every lane.
    @jax.custom_batching.custom_vmap
    def chosen(*values: Any) -> Any:
        # An accelerator would have to wait until the host has looked at the mask.
        return jax.lax.platform_dependent(*values, cpu=rarely, default=changed)

    @chosen.def_vmap
    def _(size: int, batched: Any, *values: Any) -> Any:
        mask, state, *given = jax.tree.map(partial(_spread, size), values, tuple(batched))
        state = change_where(mask, jax.vmap(change), state, *given)
        return state, jax.tree.map(lambda _: True, state)

    return chosen(mask, state, *given)


def _spread(size: int, value: Any, batched: bool) -> Any:
    """``value`` with the new axis of lanes in front."""
    import jax.numpy as jnp

    return value if batched else jnp.broadcast_to(value, (size, *value.shape))


def _where(mask: Any, new: Any, old: Any) -> Any:
    import jax.numpy as jnp

    return jnp.where(mask.reshape(mask.shape + (1,) * (new.ndim - mask.ndim)), new, old)
