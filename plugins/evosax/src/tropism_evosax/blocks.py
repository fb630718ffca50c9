"""Evaluating only some of a population, with static shapes: block by block until all wanted ones are done."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from tropism_evosax.devices import shared
from tropism_evosax.tally import Lives

BLOCKS = 8
"""Parts the population of one device is cut into; smaller blocks waste less and cost more each."""


def evaluate_some(
    evaluate: Callable[[jax.Array, jax.Array], Lives],
    genomes: jax.Array,
    keys: jax.Array,
    wanted: jax.Array,
    devices: int = 1,
) -> Lives:
    """Let the wanted genomes live, and a few more: those that fill the last block.

    Args:
        evaluate: see :func:`tropism_evosax.evaluation.make_evaluator`.
        genomes: float32[P, D].
        keys: uint32[E, 2] or uint32[P, E, 2].
        wanted: bool[P].
        devices: how many share the work; has to divide P.

    Returns:
        Lives ``[P, E]``; those of genomes that did not live are all zeros, ``finite`` false.
    """
    # The wanted ones first, dealt out to the devices like cards, so that all have as many of them.
    order = jnp.argsort(~wanted, stable=True).reshape(-1, devices).T.reshape(-1)

    def part(order: jax.Array) -> Lives:
        return _by_blocks(evaluate, genomes, keys, order, wanted[order])

    lives = shared(part, devices)(order)
    back = jnp.argsort(order)
    return jax.tree.map(lambda field: field[back], lives)


def _by_blocks(
    evaluate: Callable[[jax.Array, jax.Array], Lives],
    genomes: jax.Array,
    keys: jax.Array,
    order: jax.Array,
    wanted: jax.Array,
) -> Lives:
    """Lives of ``genomes[order]``, whose first ones are wanted."""
    size = order.shape[0]
    block = -(-size // BLOCKS)
    needed = jnp.sum(wanted)

    def look(first: jax.Array) -> tuple[jax.Array, Lives]:
        start = jnp.minimum(first, size - block)  # the last block reaches back over the one before
        chosen = jax.lax.dynamic_slice_in_dim(order, start, block)
        own = keys[chosen] if keys.ndim == 3 else keys
        return start, evaluate(genomes[chosen], own)

    def one_block(progress: tuple[jax.Array, Lives]) -> tuple[jax.Array, Lives]:
        first, lives = progress
        start, new = look(first)
        put = jax.lax.dynamic_update_slice_in_dim
        return first + block, jax.tree.map(lambda a, b: put(a, b, start, 0), lives, new)

    _, shape = jax.eval_shape(look, jnp.int32(0))
    empty = jax.tree.map(lambda s: jnp.zeros((size, *s.shape[1:]), s.dtype), shape)
    return jax.lax.while_loop(lambda p: p[0] < needed, one_block, (jnp.int32(0), empty))[1]
