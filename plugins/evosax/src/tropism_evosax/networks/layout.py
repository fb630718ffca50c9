"""A flat genome as named arrays."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping

import jax.numpy as jnp

from tropism.errors import OptionError
from tropism_evosax.networks.contract import Array


def check_genome(genome: Array, num_params: int) -> None:
    """Refuse a genome of another shape.

    Raises:
        tropism.errors.OptionError: naming both shapes.
    """
    if jnp.shape(genome) != (num_params,):
        raise OptionError(
            f"genome must have shape ({num_params},), got {jnp.shape(genome)}; "
            "it was made for another network, or is a population: map over its first axis"
        )


def split(genome: Array, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Array]:
    """Consecutive parts of ``genome``, each in its shape."""
    sizes = [math.prod(shape) for shape in shapes.values()]
    cuts = itertools.pairwise(itertools.accumulate(sizes, initial=0))
    return {
        name: genome[start:stop].reshape(shape)
        for (name, shape), (start, stop) in zip(shapes.items(), cuts, strict=True)
    }
