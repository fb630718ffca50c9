"""Fitness shaping: what a strategy is told instead of the raw scores.

Strategies of evosax minimise, so shaping works on *losses* (negated fitness).  Ranks make a strategy
indifferent to the scale of the rewards and to outliers; ``z-score`` keeps distances; ``none`` passes losses on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from tropism.errors import UnknownNameError
from tropism_evosax.registry import SHAPINGS

LAST = -1e9
"""Fitness of a genome that failed, where scores of different generations are compared."""


def shaping_function(name: str) -> Callable[..., jax.Array] | None:
    """The function of evosax for ``name``; ``None`` for ``own``.

    Raises:
        UnknownNameError: if there is no such shaping.
    """
    from evosax.core import fitness_shaping as shaping

    if name not in SHAPINGS:
        raise UnknownNameError("fitness shaping", name, SHAPINGS)
    return {
        "own": None,
        "none": shaping.identity_fitness_shaping_fn,
        "centred-ranks": shaping.centered_rank_fitness_shaping_fn,
        "z-score": shaping.standardize_fitness_shaping_fn,
    }[name]


def place_failed(fitness: jax.Array, failed: jax.Array, *, absolute: bool) -> jax.Array:
    """Give every genome that failed, or whose score is not finite, the last place.

    Args:
        fitness: float[P], higher is better; anything, also NaN.
        failed: bool[P].
        absolute: use :data:`LAST`, for strategies that compare scores across generations.  Else one point below
            the worst of the generation: last in every ranking, and no outlier where values count.

    Returns:
        Finite float[P].
    """
    failed = failed | ~jnp.isfinite(fitness)
    if absolute:
        return jnp.where(failed, LAST, fitness)
    worst = jnp.min(jnp.where(failed, jnp.inf, fitness))
    return jnp.where(failed, jnp.where(jnp.isfinite(worst), worst - 1.0, 0.0), fitness)


def place_pruned(
    score: jax.Array, proxy: jax.Array, pruned: jax.Array, failed: jax.Array
) -> jax.Array:
    """Order genomes that an earlier rung pruned behind those that went on, by their proxy scores.

    The best of the pruned comes one point below the worst of the others; distances among them are kept.

    Args:
        score: float[P], full fitness (read where neither ``pruned`` nor ``failed``).
        proxy: float[P], fitness on the rung that pruned the genome (read where ``pruned``).
        pruned: bool[P].
        failed: bool[P]; these stay what they are.
    """
    went_on = ~(pruned | failed) & jnp.isfinite(score)
    worst = jnp.min(jnp.where(went_on, score, jnp.inf))
    worst = jnp.where(jnp.isfinite(worst), worst, 0.0)
    best = jnp.max(jnp.where(pruned & jnp.isfinite(proxy), proxy, -jnp.inf))
    return jnp.where(pruned, worst - 1.0 - (best - proxy), score)


def blend_ranks(fitness: jax.Array, novelty: jax.Array, weight: float) -> jax.Array:
    """``(1 - weight) * rank of fitness + weight * rank of novelty``, ranks in [0, 1].

    Source: E. Conti et al., NSR-ES, in "Improving Exploration in Evolution Strategies ... via a Population of
    Novelty-Seeking Agents", NeurIPS 2018, arXiv:1712.06560.
    """
    return (1.0 - weight) * _ranks(fitness) + weight * _ranks(novelty)


def _ranks(values: jax.Array) -> Any:
    """Average ranks in [0, 1], the worst being 0."""
    return (jax.scipy.stats.rankdata(values) - 1.0) / max(1, values.shape[-1] - 1)
