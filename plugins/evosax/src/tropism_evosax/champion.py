"""The best genome, and how not to be fooled about it.

The highest of many noisy scores is mostly luck (the winner's curse).  So the best of each generation only become
finalists; every few generations the luckiest of them, the strategy's mean and the present champion live the same
fresh episodes, and the best of *that* comparison is crowned.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from tropism_evosax.tally import Lives


class Champion(NamedTuple):
    """The best genome so far and who may challenge it.

    Attributes:
        genome: float32[D].
        score: mean fitness where it was crowned last; ``-inf`` before.
        error: standard error of ``score``.
        generation: in which it was crowned; -1 before.
        challengers: float32[K, D], finalists since the last crowning.
        leads: float32[K], their lead over the mean of their generation; ``-inf`` for a free place.
    """

    genome: jax.Array
    score: jax.Array
    error: jax.Array
    generation: jax.Array
    challengers: jax.Array
    leads: jax.Array


def nobody(genome: jax.Array, finalists: int) -> Champion:
    """Before the first crowning; ``genome`` float32[D] holds the place."""
    none = jnp.float32(-jnp.inf)
    return Champion(
        genome,
        none,
        jnp.float32(0),
        jnp.int32(-1),
        jnp.zeros((finalists, genome.shape[0])),
        jnp.full(finalists, none),
    )


def challenge(
    champion: Champion, genomes: jax.Array, fitness: jax.Array, counts: jax.Array
) -> Champion:
    """Let the best genome of a generation take the place of the weakest finalist, if it leads by more.

    Leads are over the mean of the own generation, whose episodes may have been easy or hard for all.

    Args:
        champion: before.
        genomes: float32[P, D].
        fitness: float[P].
        counts: bool[P], whose fitness counts: evaluated in full and finite.
    """
    if champion.leads.shape[0] == 0:
        return champion
    score = jnp.where(counts, fitness, -jnp.inf)
    top = jnp.argmax(score)
    mean = jnp.sum(jnp.where(counts, fitness, 0)) / jnp.maximum(1, jnp.sum(counts))
    lead = jnp.where(counts.any(), score[top] - mean, -jnp.inf)
    weakest = jnp.argmin(champion.leads)
    better = lead > champion.leads[weakest]
    rows = champion.challengers, champion.leads
    return champion._replace(
        challengers=rows[0].at[weakest].set(jnp.where(better, genomes[top], rows[0][weakest])),
        leads=rows[1].at[weakest].set(jnp.where(better, lead, rows[1][weakest])),
    )


def crown(
    champion: Champion,
    centre: jax.Array,
    generation: jax.Array,
    live: Callable[[jax.Array], Lives],
) -> tuple[Champion, dict[str, jax.Array], Lives]:
    """Compare champion, centre and finalists on the same fresh episodes; the places become free.

    Args:
        champion: before.
        centre: float32[D], the strategy's mean.
        generation: int32.
        live: lets candidates float32[C, D] live common episodes.

    Returns:
        The new champion; its score and the centre's for the log; the lives of all candidates.
    """
    candidates = jnp.concatenate([champion.genome[None], centre[None], champion.challengers])
    lives = live(candidates)
    usable = lives.finite.all(axis=1) & (
        jnp.concatenate([jnp.array([True, True]), jnp.isfinite(champion.leads)])
    )
    scores = lives.fitness.mean(axis=1)
    best = jnp.argmax(jnp.where(usable, scores, -jnp.inf))
    stays = ((best == 0) & (champion.generation >= 0)) | ~usable.any()
    error = lives.fitness[best].std() / jnp.sqrt(lives.fitness.shape[1])
    known = usable.any()
    new = Champion(
        jnp.where(known, candidates[best], champion.genome),
        jnp.where(known, scores[best], champion.score),
        jnp.where(known, error, champion.error),
        jnp.where(stays, champion.generation, generation),
        jnp.zeros_like(champion.challengers),
        jnp.full_like(champion.leads, -jnp.inf),
    )
    return new, {"best_score": new.score, "mean_score": scores[1]}, lives


def keep_luckiest(
    champion: Champion,
    genomes: jax.Array,
    fitness: jax.Array,
    counts: jax.Array,
    generation: jax.Array,
) -> Champion:
    """The best score ever seen, without a second look: what koki2 does, and what this module is to avoid."""
    score = jnp.where(counts, fitness, -jnp.inf)
    top = jnp.argmax(score)
    better = score[top] > champion.score
    return champion._replace(
        genome=jnp.where(better, genomes[top], champion.genome),
        score=jnp.where(better, score[top], champion.score),
        generation=jnp.where(better, generation, champion.generation),
    )
