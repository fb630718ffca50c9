"""A perceptron with one hidden layer: the control without memory."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, NamedTuple

import jax.numpy as jnp
import numpy as np

from tropism.limits import check_number
from tropism_evosax.networks.contract import SPEC_VERSION, Array, LearnStats, Signals
from tropism_evosax.networks.layout import check_genome, split


class MLPWeights(NamedTuple):
    """What a genome grows into.

    Attributes:
        inputs: float32[hidden, num_inputs].
        offset: float32[hidden].
        motor: float32[num_actions, hidden].
        bias: float32[num_actions].
    """

    inputs: Array
    offset: Array
    motor: Array
    bias: Array


@dataclass(frozen=True)
class MLP:
    """``logits = W_motor . tanh(W_in . observation + c) + b``.

    Attributes:
        num_inputs: length of an observation, in [1, 65536].
        num_actions: in [1, 65536].
        hidden: units, in [1, 65536]; 16 are plenty for what has no memory, 58 have as many genes as the
            spiking network (585 to 581 for 4 inputs and 5 actions).
    """

    num_inputs: int
    num_actions: int
    hidden: int = 16

    name: ClassVar[str] = "mlp"
    plastic: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """Refuse values out of range.

        Raises:
            OptionError: naming the field, the value and the range.
        """
        for name in ("num_inputs", "num_actions", "hidden"):
            check_number(name, getattr(self, name), 1, 65_536, integer=True)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Parts of the flat genome, in order."""
        return {
            "inputs": (self.hidden, self.num_inputs),
            "offset": (self.hidden,),
            "motor": (self.num_actions, self.hidden),
            "bias": (self.num_actions,),
        }

    @property
    def num_params(self) -> int:
        """Length of the flat genome: 165 for 4 inputs, 5 actions and the defaults."""
        return sum(math.prod(shape) for shape in self.shapes.values())

    def unflatten(self, genome: Array) -> MLPWeights:
        """The weights that ``genome``, float32[num_params], spells out.

        Raises:
            tropism.errors.OptionError: for a genome of another shape.
        """
        check_genome(genome, self.num_params)
        return MLPWeights(**split(genome, self.shapes))

    def initial(self, weights: MLPWeights, key: Array) -> tuple[()]:  # noqa: ARG002  the same for all
        """It remembers nothing."""
        return ()

    def act(
        self, weights: MLPWeights, memory: tuple[()], observation: Array
    ) -> tuple[tuple[()], Array, Array]:
        """One step; see :meth:`tropism_evosax.networks.contract.Controller.act`."""
        drive = jnp.matmul(weights.inputs, observation, precision="highest") + weights.offset
        logits = jnp.matmul(weights.motor, jnp.tanh(drive), precision="highest") + weights.bias
        return memory, jnp.argmax(logits).astype(jnp.int32), logits

    def learn(
        self,
        weights: MLPWeights,  # noqa: ARG002
        memory: tuple[()],
        signals: Signals,  # noqa: ARG002
    ) -> tuple[tuple[()], LearnStats]:
        """Nothing is learned."""
        return memory, LearnStats(np.float32(0), np.float32(0))

    def fixed(self) -> MLP:
        """Itself: it does not learn."""
        return self

    def spec(self) -> dict[str, Any]:
        """JSON values to build it again."""
        return {"name": self.name, "version": SPEC_VERSION, **asdict(self)}
