"""An indirect encoding: small networks that say where a neuron lies grow the large one.

A *compositional pattern producing network* (K. Stanley, "Compositional pattern producing networks", Genetic
Programming and Evolvable Machines 8, 2007) turns the place of a neuron on the lattice into a vector, its
identity. A second network looks at the identities of two neighbours and at the way from one to the other, and
says whether they are connected, how strongly, and how fast the connection learns (as HyperNEAT does: K. Stanley
et al., Artificial Life 15, 2009); a third gives each neuron its loadings on inputs and actions. The same few
genes serve every neuron, so **a genome does not grow with the network**, and what it can express is regular.

Candidates for edges are the nearest neighbours of the ``lattice`` topology; those that are declined keep their
place in the arrays with a weight and a rate of zero, so shapes never depend on the genome.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from tropism.errors import OptionError
from tropism.limits import check_number
from tropism_evosax.networks.contract import SPEC_VERSION, Array
from tropism_evosax.networks.layout import check_genome, split
from tropism_evosax.networks.plasticity import Rates
from tropism_evosax.networks.spiking import Spiking, SpikingWeights
from tropism_evosax.networks.topology import lattice_columns, lattice_neighbours
from tropism_evosax.networks.wiring import Circulant

PLACE = 4
"""Numbers that say where a neuron is: column and row in [-1, 1], distance from the middle, and 1."""
WAY = 3
"""Numbers that say where a neighbour is: rows, columns and distance, of the farthest candidate's."""

SCALES = {
    "place": 10.0,
    "identity": 5.0,
    "source": 7.0,
    "target": 7.0,
    "way": 7.0,
    "pair": 1.5,
    "role": 7.0,
    "loading": 1.5,
    "bias": 1.0,
}
"""How far genes move, by group: hidden layers far enough to use their nonlinearity, outputs so far that the
weights within a network of a first population spread about as the direct encoding's, by .1."""


@dataclass(frozen=True)
class CPPN:
    """Genome of a pattern producing network, a pair network and a role network.

    Attributes:
        controller: a spiking network of topology ``lattice``.
        hidden: units of each of the three networks, in [4, 64].
        identity: length of a neuron's identity, in [1, 64].
    """

    controller: Spiking
    hidden: int = 8
    identity: int = 4

    name: ClassVar[str] = "cppn"

    def __post_init__(self) -> None:
        """Refuse values out of range, and controllers that have no lattice.

        Raises:
            OptionError: naming the field, the value and the range.
        """
        check_number("hidden", self.hidden, 4, 64, integer=True)
        check_number("identity", self.identity, 1, 64, integer=True)
        network = self.controller
        if not isinstance(network, Spiking) or network.topology != "lattice":
            raise OptionError(
                "controller of the encoding 'cppn' must be a 'spiking' network of topology 'lattice', got "
                f"{network.name!r} of topology {getattr(network, 'topology', None)!r}"
            )

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Parts of the genome, in order."""
        network, hidden, identity = self.controller, self.hidden, self.identity
        outputs = 4 if network.plasticity.per_edge else 2
        loadings = network.num_inputs + network.num_actions + 1
        return {
            "place": (PLACE, hidden),
            "identity": (hidden, identity),
            "source": (identity, hidden),
            "target": (identity, hidden),
            "way": (WAY + 1, hidden),
            "pair": (hidden + 1, outputs),
            "role": (identity + 1, hidden),
            "loading": (hidden + 1, loadings),
            "bias": (network.num_actions,),
        }

    @property
    def num_params(self) -> int:
        """Length of the genome; it does not depend on the number of neurons or edges."""
        return sum(math.prod(shape) for shape in self.shapes.values())

    @cached_property
    def scales(self) -> npt.NDArray[np.float32]:
        """How far each gene moves, group by group."""
        sizes = [math.prod(shape) for shape in self.shapes.values()]
        return np.repeat(np.array([SCALES[name] for name in self.shapes], np.float32), sizes)

    def develop(self, genome: Array) -> SpikingWeights:
        """The weights that ``genome``, float32[num_params], grows into.

        Raises:
            tropism.errors.OptionError: for a genome of another shape.
        """
        check_genome(genome, self.num_params)
        genes = split(genome, self.shapes)
        identity = self._identities(genes)
        connected, weight, rates = self._edges(genes, identity)
        network, cut = self.controller, self.controller.num_inputs
        loading = _affine(jnp.tanh(_affine(identity, genes["role"])), genes["loading"]).T
        weights = network.assemble(
            inputs=loading[:cut],
            edges=jnp.where(connected, weight, 0.0).ravel(),
            motor=loading[cut:-1],
            bias=genes["bias"],
            judge=loading[-1],
            rates=rates.ravel(),
        )
        return weights._replace(rates=self._masked(weights.rates, connected))

    def _identities(self, genes: dict[str, Array]) -> Array:
        """``float32[neurons, identity]``."""
        return jnp.tanh(_dot(_compose(_dot(self._places, genes["place"])), genes["identity"]))

    def _edges(self, genes: dict[str, Array], identity: Array) -> tuple[Array, Array, Array]:
        """Whether each candidate is connected, its weight, [edges, neurons] each, and [2 or 0, edges, neurons]."""
        wiring = self.controller.wiring
        assert isinstance(wiring, Circulant)  # what a lattice is
        sources = jnp.stack(wiring.shift(_dot(identity, genes["source"])))
        targets = _dot(identity, genes["target"])
        ways = _affine(self._ways, genes["way"])[:, None, :]
        out = _affine(jnp.tanh(sources + targets + ways), genes["pair"])
        bound = self.controller.plasticity.max_weight
        weight = bound * jnp.tanh(out[..., 1] / bound)
        return out[..., 0] > 0.0, weight, jnp.moveaxis(out[..., 2:], -1, 0)

    def _masked(self, rates: Rates | None, connected: Array) -> Rates | None:
        """Rates under which only connected candidates learn."""
        rule = self.controller.plasticity
        if rates is None:
            rates = Rates(jnp.float32(rule.eta), jnp.float32(rule.decay))
        return rates._replace(eta=jnp.where(connected, rates.eta, 0.0)) if rule.on else None

    @cached_property
    def _places(self) -> npt.NDArray[np.float32]:
        """``float32[neurons, PLACE]``."""
        columns = lattice_columns(self.controller.neurons)
        row, column = np.divmod(np.arange(self.controller.neurons), columns)
        y, x = (2 * axis / max(1, axis.max()) - 1 for axis in (row, column))
        return np.stack([x, y, np.hypot(x, y), np.ones_like(x)], axis=1).astype(np.float32)

    @cached_property
    def _ways(self) -> npt.NDArray[np.float32]:
        """``float32[edges, WAY]``."""
        steps = lattice_neighbours(self.controller.neurons, self.controller.edges).steps
        distance = np.hypot(steps[:, :1], steps[:, 1:])
        return (np.concatenate([steps, distance], axis=1) / distance.max()).astype(np.float32)

    def spec(self) -> dict[str, Any]:
        """JSON values to build it again."""
        return {
            "encoding": self.name,
            "version": SPEC_VERSION,
            "num_params": self.num_params,
            "hidden": self.hidden,
            "identity": self.identity,
            "controller": self.controller.spec(),
        }


def _dot(values: Array, weights: Array) -> Array:
    """``values``, [..., n], times ``weights``, [n, m].

    Written out, because a compiled matrix product of so few numbers is three times slower, and rounds one way for
    a single genome and another way for a population: a connection at the threshold would come and go.
    """
    return sum(values[..., i, None] * row for i, row in enumerate(weights))


def _affine(values: Array, weights: Array) -> Array:
    """``values``, [..., n], times all rows of ``weights``, [n + 1, m], but the last, which is added."""
    return _dot(values, weights[:-1]) + weights[-1]


def _compose(values: Array) -> Array:
    """A quarter of the units each a wave, a bump, a step and a line: what patterns are composed of."""
    waves, bumps, steps, lines = jnp.array_split(values, 4, axis=-1)
    return jnp.concatenate(
        [jnp.sin(waves), jnp.exp(-bumps * bumps), jnp.tanh(steps), lines], axis=-1
    )
