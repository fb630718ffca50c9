"""What is counted of a life, step by step, and reported at its end."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from tropism_evosax.face import UNIT, Face, Outcome
from tropism_evosax.networks.contract import LearnStats, Signals


class Lives(NamedTuple):
    """Statistics of whole lives, each field ``[P, E]`` (genomes, episodes).

    Levels (energy, integrity) are fractions of full; what an environment does not label is 0, but 1 for levels.

    Attributes:
        fitness: the environment's own, else the return; float32.
        steps: steps lived, the last one included; int32.
        simulated: steps computed, the masked ones included; int32.
        energy: at the end.
        energy_gained: in all.
        reached: a good source, ever; bool.
        good_arrivals: int32.
        bad_arrivals: int32.
        integrity_min: lowest.
        integrity_lost: in all.
        entropy: of the actions taken, in nats.
        dominant: share of the most frequent action.
        travelled: largest distance from the start, in cells (0 where no position is labelled).
        change: mean absolute change of the plastic weights, a step.
        event_change: the same over the steps with an event.
        event_share: share of steps with an event.
        modulator: mean absolute modulator.
        finite: no number of the network or the score overflowed; bool.
    """

    fitness: jax.Array
    steps: jax.Array
    simulated: jax.Array
    energy: jax.Array
    energy_gained: jax.Array
    reached: jax.Array
    good_arrivals: jax.Array
    bad_arrivals: jax.Array
    integrity_min: jax.Array
    integrity_lost: jax.Array
    entropy: jax.Array
    dominant: jax.Array
    travelled: jax.Array
    change: jax.Array
    event_change: jax.Array
    event_share: jax.Array
    modulator: jax.Array
    finite: jax.Array


class Tally(NamedTuple):
    """What a life carries besides body and network."""

    alive: jax.Array
    steps: jax.Array
    returned: jax.Array
    actions: jax.Array
    start: tuple[jax.Array, ...]
    travelled: jax.Array
    change: jax.Array
    event_change: jax.Array
    events: jax.Array
    modulator: jax.Array
    kept: dict[str, jax.Array]


KEPT = (
    "fitness",
    "energy_units",
    "energy_gained",
    "reached",
    "good_arrivals",
    "bad_arrivals",
    "integrity_min",
    "integrity_lost",
)
"""Labels whose value at the end of a life is reported."""


def blank(face: Face, labels: dict[str, jax.Array]) -> Tally:
    """The tally of a newborn whose labels are ``labels``."""
    zero = jnp.float32(0)
    here = (labels["x"], labels["y"]) if "x" in labels and "y" in labels else ()
    return Tally(
        alive=jnp.bool_(True),
        steps=jnp.int32(0),
        returned=zero,
        actions=jnp.zeros(face.num_actions, jnp.int32),
        start=here,
        travelled=jnp.int32(0),
        change=zero,
        event_change=zero,
        events=jnp.int32(0),
        modulator=zero,
        kept={name: labels[name] for name in KEPT if name in labels},
    )


def count(
    tally: Tally,
    action: jax.Array,
    outcome: Outcome,
    told: Signals,
    learned: LearnStats,
    horizon: int,
) -> Tally:
    """The tally after one step; that of a dead life stays as it is.

    Args:
        tally: before the step.
        action: taken in it.
        outcome: of the step.
        told: what the network was told.
        learned: what it made of that.
        horizon: steps after which a life is over in any case.
    """
    alive = tally.alive
    steps = tally.steps + alive
    taken = (jnp.arange(tally.actions.shape[0]) == action) & alive
    event = alive & (jnp.asarray(told.event) != 0)
    return Tally(
        alive=alive & ~outcome.ended & (steps < horizon),
        steps=steps,
        returned=tally.returned + jnp.where(alive, outcome.reward, 0).astype(jnp.float32),
        actions=tally.actions + taken,
        start=tally.start,
        travelled=_travelled(tally, outcome),
        change=tally.change + jnp.where(alive, learned.change, 0),
        event_change=tally.event_change + jnp.where(event, learned.change, 0),
        events=tally.events + event,
        modulator=tally.modulator + jnp.where(alive, jnp.abs(learned.modulator), 0),
        kept={k: jnp.where(alive, outcome.labels[k], v) for k, v in tally.kept.items()},
    )


def report(tally: Tally, simulated: jax.Array, numbers: Any) -> Lives:
    """The statistics of a life that is over.

    Args:
        tally: of the life.
        simulated: steps that were computed for it.
        numbers: the network's weights and memory, to be checked for overflow.
    """
    kept, steps = tally.kept, jnp.maximum(tally.steps, 1).astype(jnp.float32)
    fitness = kept.get("fitness", tally.returned).astype(jnp.float32)
    share = tally.actions / steps
    return Lives(
        fitness=fitness,
        steps=tally.steps,
        simulated=simulated,
        energy=_level(kept.get("energy_units", UNIT)),
        energy_gained=_level(kept.get("energy_gained", 0)),
        reached=jnp.asarray(kept.get("reached", False)),
        good_arrivals=jnp.asarray(kept.get("good_arrivals", 0), jnp.int32),
        bad_arrivals=jnp.asarray(kept.get("bad_arrivals", 0), jnp.int32),
        integrity_min=_level(kept.get("integrity_min", UNIT)),
        integrity_lost=_level(kept.get("integrity_lost", 0)),
        entropy=-jnp.sum(jnp.where(share > 0, share * jnp.log(jnp.maximum(share, 1e-9)), 0.0)),
        dominant=jnp.max(share),
        travelled=tally.travelled.astype(jnp.float32),
        change=tally.change / steps,
        event_change=tally.event_change / jnp.maximum(tally.events, 1),
        event_share=tally.events / steps,
        modulator=tally.modulator / steps,
        finite=_finite((fitness, numbers)),
    )


def _travelled(tally: Tally, outcome: Outcome) -> jax.Array:
    if not tally.start:
        return tally.travelled
    x, y = tally.start
    distance = jnp.abs(outcome.labels["x"] - x) + jnp.abs(outcome.labels["y"] - y)
    return jnp.where(tally.alive, jnp.maximum(tally.travelled, distance), tally.travelled)


def _level(units: Any) -> jax.Array:
    return jnp.asarray(units, jnp.float32) / np.float32(UNIT)


def _finite(numbers: Any) -> jax.Array:
    leaves = [leaf for leaf in jax.tree.leaves(numbers) if jnp.issubdtype(leaf.dtype, jnp.floating)]
    return jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in leaves]).all()
