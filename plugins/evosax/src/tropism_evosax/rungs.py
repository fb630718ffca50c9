"""Rungs: cheap evaluations that decide who is worth a dear one.

viability -> short horizon, few episodes -> full.  The best by the cheap score go on, and a quota of the others by
novelty, because a cheap score misjudges what takes time to pay off.
Source: successive halving, K. Jamieson and A. Talwalkar, "Non-stochastic Best Arm Identification and
Hyperparameter Optimization", AISTATS 2016, arXiv:1502.07943.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp


def promote(
    proxy: jax.Array, running: jax.Array, novelty: jax.Array, places: int, novel_places: int
) -> jax.Array:
    """Who goes on: bool[P], at most ``places`` of those running.

    Args:
        proxy: float[P], the cheap score; not finite counts as worst.
        running: bool[P], who is still in the race.
        novelty: float[P]; read if ``novel_places`` is not 0.
        places: how many go on.
        novel_places: how many of these for being novel rather than good.
    """
    good = _best(proxy, running, places - novel_places)
    if not novel_places:
        return good
    return good | _best(novelty, running & ~good, novel_places)


def _best(score: jax.Array, among: jax.Array, places: int) -> jax.Array:
    """The ``places`` highest scores ``among`` the candidates; ties go to the lower index."""
    score = jnp.where(among & jnp.isfinite(score), score, -jnp.inf)
    rank = jnp.argsort(jnp.argsort(-score, stable=True), stable=True)
    return among & (rank < places)
