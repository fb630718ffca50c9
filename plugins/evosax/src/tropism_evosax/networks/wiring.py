"""How spikes travel along edges, without scatter or gather.

Adding 256 products by scatter is the slowest way to do it. Per step of 32 neurons, on one core, a dense masked
matrix is 5.6 times faster (2.8 where weights learn), shifted multiply-adds 6.8 times (4.5);
``benchmarks/bench_controllers.py`` measures it.

A wiring keeps one number an edge in an array of the shape that suits its arithmetic:

=====================  ========================  =================================================
wiring                 array                     element
=====================  ========================  =================================================
:class:`Dense`         float32[neurons, neurons] [source, target]; zero where there is no edge
:class:`Circulant`     float32[edges, neurons]   [j, target]: from ``(target - offset_j) mod neurons``
=====================  ========================  =================================================
"""

from __future__ import annotations

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from tropism_evosax.networks.contract import Array
from tropism_evosax.networks.topology import (
    circulant_offsets,
    lattice_neighbours,
    random_targets,
)


@dataclass(frozen=True)
class Dense:
    """Any graph, as a masked matrix.

    Attributes:
        targets: target of each edge, by source.
    """

    targets: tuple[tuple[int, ...], ...]

    @property
    def size(self) -> int:
        """Number of edges."""
        return len(self.targets) * len(self.targets[0])

    def arrange(self, genes: Array) -> Array:
        """``genes``, float32[size] in the order source by source, as the array of this wiring."""
        neurons = len(self.targets)
        hit = np.asarray(self.targets)[:, :, None] == np.arange(neurons)
        return jnp.where(hit, genes.reshape(neurons, -1, 1), 0.0).sum(axis=1)

    def transmit(self, weights: Array, spikes: Array) -> Array:
        """Weighted sum of the spikes, float32[neurons], that arrive at each neuron."""
        return jnp.matmul(spikes, weights, precision="highest")

    def pair(self, pre: Array, post: Array) -> Array:
        """Product of source's ``pre`` and target's ``post`` for each edge, as the array of this wiring."""
        return pre[:, None] * post[None, :] * self._mask()

    def edges(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Sources and targets, each int[size], in the order of the genes."""
        targets = np.asarray(self.targets)
        return np.repeat(np.arange(len(targets)), targets.shape[1]), targets.ravel()

    def _mask(self) -> npt.NDArray[np.float32]:
        neurons = len(self.targets)
        return np.eye(neurons, dtype=np.float32)[np.asarray(self.targets)].sum(axis=1)


@dataclass(frozen=True)
class Circulant:
    """A graph in which all neurons have edges of the same offsets.

    Attributes:
        neurons: how many.
        offsets: of the targets, each in [1, neurons).
    """

    neurons: int
    offsets: tuple[int, ...]

    @property
    def size(self) -> int:
        """Number of edges."""
        return self.neurons * len(self.offsets)

    def arrange(self, genes: Array) -> Array:
        """``genes``, float32[size] in the order offset by offset, as the array of this wiring."""
        return genes.reshape(len(self.offsets), self.neurons)

    def transmit(self, weights: Array, spikes: Array) -> Array:
        """Weighted sum of the spikes, float32[neurons], that arrive at each neuron."""
        return sum(w * s for w, s in zip(weights, self.shift(spikes), strict=True))

    def pair(self, pre: Array, post: Array) -> Array:
        """Product of source's ``pre`` and target's ``post`` for each edge, as the array of this wiring."""
        return jnp.stack(self.shift(pre)) * post

    def shift(self, values: Array) -> list[Array]:
        """For each offset, the ``values``, [neurons, ...], of the sources, target by target.

        Slices of the doubled array: XLA turns ``roll`` into a concatenation each, which takes twice as long.
        """
        twice = jnp.concatenate([values, values])
        return [twice[self.neurons - o : 2 * self.neurons - o] for o in self.offsets]

    def edges(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Sources and targets, each int[size], in the order of the genes."""
        targets = np.broadcast_to(np.arange(self.neurons), (len(self.offsets), self.neurons))
        sources = (targets - np.array(self.offsets)[:, None]) % self.neurons
        return sources.ravel(), targets.ravel()


Wiring = Dense | Circulant


def make_wiring(topology: str, neurons: int, edges: int, seed: int) -> Wiring:
    """The wiring of one of :data:`tropism_evosax.networks.topology.TOPOLOGIES`."""
    if topology == "random":
        rows = random_targets(neurons, edges, seed)
        return Dense(tuple(tuple(row) for row in rows.tolist()))
    if topology == "circulant":
        return Circulant(neurons, tuple(circulant_offsets(neurons, edges, seed).tolist()))
    return Circulant(neurons, tuple(lattice_neighbours(neurons, edges).offsets.tolist()))
