"""What every controller offers, and what it is told.

A controller is written for **one** life and knows nothing of populations: evaluation maps it over episodes, which
share their weights, and over genomes. It is a frozen dataclass of plain values, hence hashable and static under
``jit``; everything that changes is a pytree of arrays:

* *weights* grow from a genome once and stay,
* *memory* is one life's: potentials, hidden state, traces, and the weights themselves where they learn.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

from jax.typing import ArrayLike

Weights = Any
"""Pytree of float32 arrays that a genome grows into."""
Memory = Any
"""Pytree of arrays of one life."""
Array = Any
"""A JAX array, traced or not."""

SPEC_VERSION = 1
"""Of the meaning of a flat genome; it goes up whenever the same numbers would act differently."""


class Signals(NamedTuple):
    """What the step just taken did to the body; both are float32 scalars.

    Attributes:
        drive: how far the drive fell, ``D_before - D_after`` with ``D = sum (level - 1)^2`` over levels in [0, 1].
        event: energy (and hydration) gained minus integrity lost, in units of a full level.
    """

    drive: ArrayLike
    event: ArrayLike


class LearnStats(NamedTuple):
    """What learning did in one step; both are float32 scalars.

    Attributes:
        change: mean absolute change over the plastic weights.
        modulator: the third factor, in (-1, 1).
    """

    change: ArrayLike
    modulator: ArrayLike


class Controller(Protocol):
    """A network that acts, and may learn, within one life."""

    @property
    def name(self) -> str:
        """Name in :data:`tropism_evosax.networks.registry.NETWORKS`."""
        ...

    @property
    def num_inputs(self) -> int:
        """Length of an observation."""
        ...

    @property
    def num_actions(self) -> int:
        """Number of actions."""
        ...

    @property
    def num_params(self) -> int:
        """Length of the flat genome of the direct encoding."""
        ...

    @property
    def plastic(self) -> bool:
        """Whether :meth:`learn` does anything; where not, it costs nothing."""
        ...

    def unflatten(self, genome: Array) -> Weights:
        """The weights that ``genome``, float32[num_params], spells out.

        Raises:
            tropism.errors.OptionError: for a genome of another shape.
        """
        ...

    def initial(self, weights: Weights, key: Array) -> Memory:
        """The memory at birth; ``key``, uint32[2], is all the chance there is in this life."""
        ...

    def act(self, weights: Weights, memory: Memory, observation: Array) -> tuple[Memory, Any, Any]:
        """One step.

        Args:
            weights: of this genome.
            memory: of this life.
            observation: float32[num_inputs].

        Returns:
            The new memory, the action (int32 scalar: the largest logit, the lowest index of equal ones), and the
            logits, float32[num_actions].
        """
        ...

    def learn(
        self, weights: Weights, memory: Memory, signals: Signals
    ) -> tuple[Memory, LearnStats]:
        """Learn from what the step did; to be called once after each step of the environment."""
        ...

    def fixed(self) -> Controller:
        """The controller that takes the same genome and does not learn: the control of every claim about learning."""
        ...

    def spec(self) -> dict[str, Any]:
        """JSON values from which :func:`tropism_evosax.networks.registry.controller_from_spec` builds it again."""
        ...
