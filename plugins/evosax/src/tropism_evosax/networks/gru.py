"""A gated recurrent unit: the control with memory and without plasticity.

K. Cho et al., "Learning phrase representations using RNN encoder-decoder", EMNLP 2014, with the reset gate after
the matrix product, as in cuDNN::

    r, z = sigmoid(W_rz . x + U_rz . h + c_rz)
    n = tanh(W_n . x + r * (U_n . h + d) + c_n)
    h <- (1 - z) * n + z * h
    logits = W_motor . h + b
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from tropism.limits import check_number
from tropism_evosax.networks.contract import SPEC_VERSION, Array, LearnStats, Signals
from tropism_evosax.networks.layout import check_genome, split


class GRUWeights(NamedTuple):
    """What a genome grows into; gates in the order reset, update, new.

    Attributes:
        inputs: float32[3 * hidden, num_inputs].
        recurrent: float32[3 * hidden, hidden].
        offset: float32[3 * hidden].
        inner: float32[hidden], added to the recurrent part of the new state before it is reset.
        motor: float32[num_actions, hidden].
        bias: float32[num_actions].
    """

    inputs: Array
    recurrent: Array
    offset: Array
    inner: Array
    motor: Array
    bias: Array


@dataclass(frozen=True)
class GRU:
    """Gated recurrent units and a linear readout.

    Attributes:
        num_inputs: length of an observation, in [1, 65536].
        num_actions: in [1, 65536].
        hidden: units, in [1, 4096]; 11 have about as many genes as the spiking network (599 to 581 for 4 inputs
            and 5 actions).
    """

    num_inputs: int
    num_actions: int
    hidden: int = 11

    name: ClassVar[str] = "gru"
    plastic: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """Refuse values out of range.

        Raises:
            OptionError: naming the field, the value and the range.
        """
        check_number("num_inputs", self.num_inputs, 1, 65_536, integer=True)
        check_number("num_actions", self.num_actions, 1, 65_536, integer=True)
        check_number("hidden", self.hidden, 1, 4096, integer=True)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Parts of the flat genome, in order."""
        return {
            "inputs": (3 * self.hidden, self.num_inputs),
            "recurrent": (3 * self.hidden, self.hidden),
            "offset": (3 * self.hidden,),
            "inner": (self.hidden,),
            "motor": (self.num_actions, self.hidden),
            "bias": (self.num_actions,),
        }

    @property
    def num_params(self) -> int:
        """Length of the flat genome: 599 for 4 inputs, 5 actions and the defaults."""
        return sum(math.prod(shape) for shape in self.shapes.values())

    def unflatten(self, genome: Array) -> GRUWeights:
        """The weights that ``genome``, float32[num_params], spells out.

        Raises:
            tropism.errors.OptionError: for a genome of another shape.
        """
        check_genome(genome, self.num_params)
        return GRUWeights(**split(genome, self.shapes))

    def initial(self, weights: GRUWeights, key: Array) -> Array:  # noqa: ARG002  the same for all
        """The hidden state at birth, float32[hidden] of zeros."""
        return jnp.zeros(self.hidden, jnp.float32)

    def act(
        self, weights: GRUWeights, memory: Array, observation: Array
    ) -> tuple[Array, Array, Array]:
        """One step; see :meth:`tropism_evosax.networks.contract.Controller.act`."""
        seen = jnp.matmul(weights.inputs, observation, precision="highest") + weights.offset
        past = jnp.matmul(weights.recurrent, memory, precision="highest")
        cut = 2 * self.hidden
        reset, update = jnp.split(jax.nn.sigmoid(seen[:cut] + past[:cut]), 2)
        new = jnp.tanh(seen[cut:] + reset * (past[cut:] + weights.inner))
        hidden = (1.0 - update) * new + update * memory
        logits = jnp.matmul(weights.motor, hidden, precision="highest") + weights.bias
        return hidden, jnp.argmax(logits).astype(jnp.int32), logits

    def learn(
        self,
        weights: GRUWeights,  # noqa: ARG002
        memory: Array,
        signals: Signals,  # noqa: ARG002
    ) -> tuple[Array, LearnStats]:
        """Nothing is learned."""
        return memory, LearnStats(np.float32(0), np.float32(0))

    def fixed(self) -> GRU:
        """Itself: it does not learn."""
        return self

    def spec(self) -> dict[str, Any]:
        """JSON values to build it again."""
        return {"name": self.name, "version": SPEC_VERSION, **asdict(self)}
