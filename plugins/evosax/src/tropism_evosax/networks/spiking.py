"""A recurrent network of leaky threshold units: the substrate of koki2 (K. Kis, 2025, https://github.com/Krisztiaan/koki2).

One step, with ``v`` the potentials and ``s`` the spikes::

    v <- v * exp(-1/tau) + W_obs . observation + sum over edges of w * s_before[source]
    s <- v > theta
    v <- v - s * theta                                    (reset by subtraction)
    logits = W_motor . s + b

A network in which nothing fires does what its biases say, so a fresh genome repeats one action.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

import jax.numpy as jnp
import numpy as np

from tropism.limits import check_number
from tropism_evosax.checks import check_name
from tropism_evosax.networks.contract import SPEC_VERSION, Array, LearnStats, Signals
from tropism_evosax.networks.layout import check_genome, split
from tropism_evosax.networks.plasticity import (
    Plasticity,
    Rates,
    Traces,
    begin,
    edge_rates,
    mark,
    modulate,
    move,
)
from tropism_evosax.networks.topology import TOPOLOGIES
from tropism_evosax.networks.wiring import Wiring, make_wiring

UNROLLED_INPUTS = 16
"""Up to so many inputs, multiply-adds written out beat a matrix product of tiny vectors, by a third on a CPU."""


class SpikingWeights(NamedTuple):
    """What a genome grows into.

    Attributes:
        inputs: float32[num_inputs, neurons].
        edges: recurrent weights, array of the wiring.
        motor: float32[num_actions, neurons].
        bias: float32[num_actions].
        judge: float32[neurons], of the modulator ``spike``.
        rates: of the edges, ``None`` unless the plasticity is ``per_edge``.
    """

    inputs: Array
    edges: Array
    motor: Array
    bias: Array
    judge: Array
    rates: Rates | None


class SpikingMemory(NamedTuple):
    """State of one life.

    Attributes:
        potential: float32[neurons].
        spikes: float32[neurons], 0 or 1, of the step before.
        traces: of the plasticity, ``None`` where it is off.
    """

    potential: Array
    spikes: Array
    traces: Traces | None


@dataclass(frozen=True)
class Spiking:
    """Leaky threshold units with sparse recurrent edges.

    Attributes:
        num_inputs: length of an observation, in [1, 65536].
        num_actions: in [1, 65536].
        neurons: in [2, 4096].
        edges: outgoing edges of a neuron, in [1, neurons - 1].
        tau: time constant of the leak, steps, in [0.01, 1e6].
        theta: threshold, in [1e-6, 1e6].
        topology: ``"circulant"`` (fastest), ``"random"`` (the origin's) or ``"lattice"``.
        topology_seed: of the random choices of the topology, in [0, 2**32); ``"lattice"`` has none.
        plasticity: learning within a life.
    """

    num_inputs: int
    num_actions: int
    neurons: int = 32
    edges: int = 8
    tau: float = 10.0
    theta: float = 1.0
    topology: str = "circulant"
    topology_seed: int = 0
    plasticity: Plasticity = field(default_factory=Plasticity)

    name: ClassVar[str] = "spiking"

    def __post_init__(self) -> None:
        """Refuse values out of range.

        Raises:
            OptionError: naming the field, the value and the range.
            UnknownNameError: for a topology that does not exist.
        """
        check_number("num_inputs", self.num_inputs, 1, 65_536, integer=True)
        check_number("num_actions", self.num_actions, 1, 65_536, integer=True)
        check_number("neurons", self.neurons, 2, 4096, integer=True)
        check_number("edges", self.edges, 1, self.neurons - 1, integer=True)
        check_number("tau", self.tau, 0.01, 1e6)
        check_number("theta", self.theta, 1e-6, 1e6)
        check_name("topology", self.topology, TOPOLOGIES)
        check_number("topology_seed", self.topology_seed, 0, 2**32 - 1, integer=True)

    @cached_property
    def wiring(self) -> Wiring:
        """Who is connected to whom."""
        return make_wiring(self.topology, self.neurons, self.edges, self.topology_seed)

    @property
    def plastic(self) -> bool:
        """Whether it learns within a life."""
        return self.plasticity.on

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Parts of the flat genome, in order."""
        edges = self.neurons * self.edges
        return {
            "inputs": (self.num_inputs, self.neurons),
            "edges": (edges,),
            "motor": (self.num_actions, self.neurons),
            "bias": (self.num_actions,),
            "judge": (self.neurons,),
            "rates": (2 * edges if self.plasticity.per_edge else 0,),
        }

    @property
    def num_params(self) -> int:
        """Length of the flat genome: 581 for 4 inputs, 5 actions and the defaults."""
        return sum(math.prod(shape) for shape in self.shapes.values())

    def unflatten(self, genome: Array) -> SpikingWeights:
        """The weights that ``genome``, float32[num_params], spells out.

        Raises:
            tropism.errors.OptionError: for a genome of another shape.
        """
        check_genome(genome, self.num_params)
        return self.assemble(**split(genome, self.shapes))

    def assemble(
        self, inputs: Array, edges: Array, motor: Array, bias: Array, judge: Array, rates: Array
    ) -> SpikingWeights:
        """Weights from their parts; ``edges`` and ``rates`` in the order of the genes."""
        per_edge = edge_rates(self.plasticity, self.wiring, rates) if rates.size else None
        return SpikingWeights(inputs, self.wiring.arrange(edges), motor, bias, judge, per_edge)

    def initial(self, weights: SpikingWeights, key: Array) -> SpikingMemory:
        """At rest, silent, with the inherited weights; ``key``, uint32[2], matters to the control ``shuffled`` only."""
        rest = jnp.zeros(self.neurons, jnp.float32)
        traces = begin(self.plasticity, weights.edges, self.neurons, key) if self.plastic else None
        return SpikingMemory(rest, rest, traces)

    def act(
        self, weights: SpikingWeights, memory: SpikingMemory, observation: Array
    ) -> tuple[SpikingMemory, Array, Array]:
        """One step; see :meth:`tropism_evosax.networks.contract.Controller.act`."""
        traces = memory.traces
        edges = weights.edges if traces is None else traces.weights
        current = _sense(weights.inputs, observation) + self.wiring.transmit(edges, memory.spikes)
        charged = memory.potential * np.float32(math.exp(-1.0 / self.tau)) + current
        spikes = (charged > self.theta).astype(jnp.float32)
        if traces is not None:
            traces = mark(
                self.plasticity, weights.rates, self.wiring, traces, memory.spikes, spikes
            )
        logits = jnp.matmul(weights.motor, spikes, precision="highest") + weights.bias
        action = jnp.argmax(logits).astype(jnp.int32)
        return SpikingMemory(charged - spikes * self.theta, spikes, traces), action, logits

    def learn(
        self, weights: SpikingWeights, memory: SpikingMemory, signals: Signals
    ) -> tuple[SpikingMemory, LearnStats]:
        """Move the plastic weights; the identity, at no cost, where plasticity is off."""
        if memory.traces is None:
            return memory, LearnStats(np.float32(0), np.float32(0))
        judgement = jnp.vdot(weights.judge, memory.spikes, precision="highest")
        traces, modulator = modulate(self.plasticity, memory.traces, signals, judgement)
        traces, stats = move(self.plasticity, weights.rates, self.wiring, traces, modulator)
        return memory._replace(traces=traces), stats

    def fixed(self) -> Spiking:
        """The same genome without learning."""
        return replace(self, plasticity=replace(self.plasticity, modulator="off"))

    def spec(self) -> dict[str, Any]:
        """JSON values to build it again."""
        return {"name": self.name, "version": SPEC_VERSION, **asdict(self)}


def _sense(inputs: Array, observation: Array) -> Array:
    """``float32[neurons]``: the observation weighted by ``inputs``, float32[num_inputs, neurons]."""
    if len(inputs) > UNROLLED_INPUTS:
        return jnp.matmul(observation, inputs, precision="highest")
    return sum(w * x for w, x in zip(inputs, observation, strict=True))
