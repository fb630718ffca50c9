"""The viability filter: a short look that spares the full evaluation of genomes that do nothing.

A network of threshold units that never spikes repeats one action for ever.  Such genomes are common at first and
carry no information, so each genome lives two short lives, and only those that show some life in one of them are
evaluated in full; the others share the last place.  It saves what it skips: see
:func:`tropism_evosax.blocks.evaluate_some`.
Source: the filter of koki2 (K. Kis, 2025), https://github.com/Krisztiaan/koki2, which evaluates both beside each other.
"""

from __future__ import annotations

import jax

from tropism_evosax.config import Viability
from tropism_evosax.tally import Lives


def viable(lives: Lives, criteria: Viability) -> jax.Array:
    """Which genomes pass: bool[P].

    A genome passes if in *any* of its lives ``[P, E]`` it lived long enough, varied its actions enough, kept enough
    energy, and no number overflowed.
    """
    passes = (
        (lives.steps >= criteria.min_alive)
        & (lives.entropy >= criteria.min_entropy)
        & (lives.energy >= criteria.min_energy)
        & lives.finite
    )
    return passes.any(axis=1)
