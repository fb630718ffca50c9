"""koki2's controller, restated: 32 leaky threshold units with eight edges each, plastic or not.

koki2 (K. Kis, 2025), https://github.com/Krisztiaan/koki2.  Currents are scattered over the 256 edges, as there.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from origin_world import Event, no_learning

UNITS, OUT_DEGREE, INPUTS, ACTIONS = 32, 8, 4, 5
EDGES = UNITS * OUT_DEGREE
SHAPES = ((UNITS, INPUTS), (EDGES,), (UNITS, ACTIONS), (ACTIONS,), (UNITS,))
NUM_PARAMS = sum(math.prod(shape) for shape in SHAPES)
DECAY = math.exp(-1 / 10)
"""Of the membrane in a step, time constant 10 steps."""
THRESHOLD = 1.0
TRACE_DECAY, RATE, SCALE, WEIGHT_LIMIT = 0.9, 0.05, 1.0, 3.0
TOPOLOGY_SEED = 0


class Weights(NamedTuple):
    """A genome, unfolded."""

    observe: Any
    edges: Any
    motor: Any
    bias: Any
    modulator: Any


class Memory(NamedTuple):
    """What a network carries through its life; ``trace`` and ``edges`` change only if it is plastic."""

    voltage: Any
    spikes: Any
    trace: Any
    edges: Any


def edges() -> tuple[Any, Any]:
    """Source and target unit of each edge: random targets, never the unit itself, the same for ever."""
    import numpy as np

    rng = np.random.default_rng(TOPOLOGY_SEED)
    others = [rng.choice(UNITS - 1, OUT_DEGREE, replace=False) for _ in range(UNITS)]
    source = np.repeat(np.arange(UNITS), OUT_DEGREE)
    target = np.concatenate(others)
    return source, target + (target >= source)


def unfold(genome: Any) -> Weights:
    """The parts of a genome float32[581]."""
    import jax.numpy as jnp

    ends = [sum(math.prod(s) for s in SHAPES[: i + 1]) for i in range(len(SHAPES) - 1)]
    parts = jnp.split(genome, ends)
    return Weights(*(part.reshape(s) for part, s in zip(parts, SHAPES, strict=True)))


def network(
    weights: Weights, plastic: str
) -> tuple[Memory, Callable[..., Any], Callable[..., Any]]:
    """The newborn memory, how it acts and how it learns (not at all if ``plastic`` is empty)."""
    import jax.numpy as jnp

    source, target = edges()
    newborn = Memory(jnp.zeros(UNITS), jnp.zeros(UNITS), jnp.zeros(EDGES), weights.edges)

    def act(memory: Memory, observation: Any, key: Any) -> tuple[Memory, Any]:  # noqa: ARG001
        sent = memory.edges * memory.spikes[source]
        current = jnp.zeros(UNITS).at[target].add(sent)
        voltage = memory.voltage * DECAY + weights.observe @ observation + current
        spikes = (voltage > THRESHOLD).astype(jnp.float32)
        action = jnp.argmax(spikes @ weights.motor + weights.bias)
        trace = memory.trace
        if plastic:
            trace = TRACE_DECAY * trace + memory.spikes[source] * spikes[target]
        return Memory(voltage - spikes * THRESHOLD, spikes, trace, memory.edges), action

    def learn(memory: Memory, event: Event) -> tuple[Memory, Any, Any]:
        signal = {
            "spike": jnp.dot(weights.modulator, memory.spikes),
            "drive": SCALE * event.drive,
            "event": SCALE * (event.gained - event.lost),
        }[plastic]
        modulator = jnp.tanh(signal)
        wanted = memory.edges + RATE * modulator * memory.trace
        changed = jnp.clip(wanted, -WEIGHT_LIMIT, WEIGHT_LIMIT)
        change = jnp.mean(jnp.abs(changed - memory.edges))
        return memory._replace(edges=changed), change, modulator

    return newborn, act, learn if plastic else no_learning
