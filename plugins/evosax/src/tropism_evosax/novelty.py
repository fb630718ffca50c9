"""Novelty: how far a genome's behaviour lies from those seen before.

The archive is a ring of arrays inside the jitted generation.  pyribs 0.12 installs beside our versions but keeps
its archives in NumPy: whole generations run in one ``scan``, and a NumPy archive in the middle would mean a host
call, a device synchronisation and a fixed order of callbacks in every one of them.  QDax 0.5 also resolves, but brings
brax, MuJoCo, jumanji and TensorFlow Probability along (some 35 packages) for the thirty lines below.
Source: J. Lehman and K. Stanley, "Abandoning Objectives: Evolution through the Search for Novelty Alone",
Evolutionary Computation 19(2), 2011.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from tropism_evosax.tally import Lives

BEHAVIOUR = ("entropy", "dominant", "travelled", "good_arrivals", "bad_arrivals")
"""What a behaviour descriptor holds, each in [0, 1]."""


class Archive(NamedTuple):
    """Behaviours float32[capacity, B] and how many were ever put in; int32."""

    behaviours: jax.Array
    added: jax.Array


def empty(capacity: int) -> Archive:
    """An archive without a memory."""
    return Archive(jnp.zeros((capacity, len(BEHAVIOUR))), jnp.int32(0))


def describe(lives: Lives, num_actions: int) -> jax.Array:
    """Behaviour descriptors float32[P, B] of lives ``[P, E]``, averaged over episodes.

    Entropy is relative to its largest value; counts and distances go through ``n / (n + scale)`` (scales: 4
    arrivals, 8 cells), so that the difference between none and one matters more than that between 20 and 21.
    """
    features = (
        lives.entropy / max(1e-6, math.log(num_actions)),
        lives.dominant,
        _saturate(lives.travelled, 8.0),
        _saturate(lives.good_arrivals, 4.0),
        _saturate(lives.bad_arrivals, 4.0),
    )
    return jnp.stack([feature.mean(axis=1) for feature in features], axis=-1)


def novelty(archive: Archive, behaviours: jax.Array, neighbours: int) -> jax.Array:
    """Mean distance float32[P] to the nearest behaviours, of the archive and of the others in ``behaviours``."""
    known = jnp.concatenate([behaviours, archive.behaviours])
    distance = jnp.linalg.norm(behaviours[:, None] - known[None], axis=-1)
    size, capacity = behaviours.shape[0], archive.behaviours.shape[0]
    there = jnp.concatenate([jnp.ones(size, bool), jnp.arange(capacity) < archive.added])
    there = there[None] & ~jnp.eye(size, size + capacity, dtype=bool)  # nobody is its own neighbour
    count = min(neighbours, size - 1)
    nearest = -jax.lax.top_k(jnp.where(there, -distance, -jnp.inf), count)[0]
    return nearest.mean(axis=1)


def remember(archive: Archive, behaviours: jax.Array, score: jax.Array, additions: int) -> Archive:
    """The archive with the ``additions`` most novel behaviours put in, over the oldest if it is full.

    Args:
        archive: before.
        behaviours: float32[P, B].
        score: float[P], novelty; ``-inf`` where there is no behaviour.
        additions: how many; at most P and the capacity.
    """
    capacity = archive.behaviours.shape[0]
    top, chosen = jax.lax.top_k(score, min(additions, capacity, score.shape[0]))
    valid = jnp.isfinite(top)
    place = (archive.added + jnp.cumsum(valid) - 1) % capacity
    place = jnp.where(valid, place, capacity)  # out of range: dropped
    kept = archive.behaviours.at[place].set(behaviours[chosen], mode="drop")
    return Archive(kept, archive.added + jnp.sum(valid, dtype=jnp.int32))


def _saturate(values: jax.Array, scale: float) -> jax.Array:
    return values / (values + scale)
