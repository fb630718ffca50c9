"""What every encoding offers: a flat vector that evolution moves, and the weights it grows into."""

from __future__ import annotations

from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from tropism_evosax.networks.contract import Array, Controller, Weights

INITIAL_STD = 0.1
"""Deviation of the genes of a first population, before their scales; as in koki2."""


class Encoding(Protocol):
    """How a genome becomes the weights of a controller; frozen and hashable."""

    @property
    def name(self) -> str:
        """Name in :data:`tropism_evosax.genomes.registry.ENCODINGS`."""
        ...

    @property
    def controller(self) -> Controller:
        """The network that the weights are for."""
        ...

    @property
    def num_params(self) -> int:
        """Length of the genome."""
        ...

    @property
    def scales(self) -> npt.NDArray[np.float32]:
        """``float32[num_params]``: how far each gene moves where another, of scale 1, moves by 1.

        A strategy with one step size for all searches ``z`` and evaluates the genome ``scales * z``.
        """
        ...

    def develop(self, genome: Array) -> Weights:
        """The weights that ``genome``, float32[num_params], grows into: pure, for ``jit`` and ``vmap``.

        Raises:
            tropism.errors.OptionError: for a genome of another shape.
        """
        ...

    def spec(self) -> dict[str, Any]:
        """JSON values from which :func:`tropism_evosax.genomes.registry.encoding_from_spec` builds it again."""
        ...


def sample(encoding: Encoding, key: Array, count: int) -> Array:
    """A first population, float32[count, num_params]: independent, normal, of mean zero.

    Args:
        encoding: of the genomes.
        key: a ``jax.random`` key.
        count: how many.
    """
    noise = jax.random.normal(key, (count, encoding.num_params), jnp.float32)
    return INITIAL_STD * encoding.scales * noise
