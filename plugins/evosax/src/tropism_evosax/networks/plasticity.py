"""Three-factor learning within a life: traces of coincidence, and a modulator that says whether they were any good.

Each edge remembers how often its target fired just after its source (eligibility trace), and moves when the
modulator speaks (W. Gerstner et al., "Eligibility traces and plasticity on behavioral time scales", Frontiers in
Neural Circuits 12:53, 2018)::

    e <- decay * e + pre * post
    w <- clip(w + eta * m * e, -max_weight, max_weight)

with ``pre`` the spike before and ``post`` the spike after the step. The modulator ``m`` is

``spike``  tanh(scale * u . spikes) with evolved weights u: the network judges itself
``drive``  tanh(scale * fall of the drive)
``event``  tanh(scale * (gained - lost)), which is zero in most steps
``off``    nothing: no trace is kept, no weight moves, no operation is traced

Two levers are off by default. ``per_edge`` gives every edge genes for its own rate and decay. ``signed`` replaces
``post`` by its deviation from a running mean, the covariance rule of T. Sejnowski ("Storing covariance with
nonlinearly interacting neurons", Journal of Mathematical Biology 4, 1977), so that traces can be negative.

The control ``shuffled`` flips the sign of each modulation by a hash of the life's key and the step. Times and
sizes of all modulations, hence how much weights move, stay what they are; only the information whether the
outcome was good is gone. What an agent still gains over fixed weights under this control is not due to credit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from tropism.envs.core.random import Hash
from tropism.limits import check_flag, check_number
from tropism_evosax.checks import check_name
from tropism_evosax.networks.contract import Array, LearnStats, Signals
from tropism_evosax.networks.wiring import Wiring

MODULATORS = ("off", "spike", "drive", "event")
CONTROLS = ("none", "shuffled")

RATE_GAIN = 10.0
"""Of the gene of a rate: one initial deviation, .1, moves an edge's rate by ``eta`` itself."""
MAX_DECAY = 0.999
"""Bound of an edge's own decay, so that its trace stays below 1000."""
SHUFFLE_STREAM = 0x5EF1
"""Stream of the hash that flips signs; the environments use streams below 1000."""


@dataclass(frozen=True)
class Plasticity:
    """How the edges of a spiking network learn within a life.

    Attributes:
        modulator: the third factor: ``"off"``, ``"spike"``, ``"drive"`` or ``"event"``.
        eta: rate, in [0, 100].
        decay: of the traces a step, in [0, 0.999].
        max_weight: bound of the absolute weights, in (0, 1000].
        scale: of the signal before tanh, in [0, 1e6]; a meal is worth .05, an injury -.25.
        per_edge: every edge has genes for its own rate and decay.
        signed: traces count deviations of the target from its mean, instead of its spikes.
        control: ``"none"``, or ``"shuffled"`` for modulations of random sign.
    """

    modulator: str = "off"
    eta: float = 0.05
    decay: float = 0.9
    max_weight: float = 3.0
    scale: float = 1.0
    per_edge: bool = False
    signed: bool = False
    control: str = "none"

    def __post_init__(self) -> None:
        """Refuse values out of range.

        Raises:
            OptionError: naming the field, the value and the range.
            UnknownNameError: for a modulator or control that does not exist.
        """
        check_name("modulator", self.modulator, MODULATORS)
        check_name("control", self.control, CONTROLS)
        check_number("eta", self.eta, 0.0, 100.0)
        check_number("decay", self.decay, 0.0, MAX_DECAY)
        check_number("max_weight", self.max_weight, 1e-6, 1000.0)
        check_number("scale", self.scale, 0.0, 1e6)
        check_flag("per_edge", self.per_edge)
        check_flag("signed", self.signed)

    @property
    def on(self) -> bool:
        """Whether anything is learned."""
        return self.modulator != "off"


class Rates(NamedTuple):
    """Rate and decay of each edge, arrays of the wiring."""

    eta: Array
    decay: Array


class Traces(NamedTuple):
    """What learning remembers within a life.

    Attributes:
        weights: of the edges, as they are now; array of the wiring.
        eligibility: traces of the edges, the same shape.
        mean: float32[neurons], running mean of the spikes; ``None`` unless ``signed``.
        clock: (uint32[2], uint32 scalar), key of the life and steps so far; ``None`` unless ``shuffled``.
    """

    weights: Array
    eligibility: Array
    mean: Array | None
    clock: Any | None


def edge_rates(rule: Plasticity, wiring: Wiring, genes: Array) -> Rates:
    """Rates from ``genes``, float32[2 * edges]; genes of zero give ``eta`` and ``decay`` of the rule."""
    eta, decay = (wiring.arrange(part) for part in jnp.split(genes, 2))
    return Rates(rule.eta * (1.0 + RATE_GAIN * eta), jnp.clip(rule.decay + decay, 0.0, MAX_DECAY))


def begin(rule: Plasticity, weights: Array, neurons: int, key: Array) -> Traces:
    """Traces at birth: the weights are the inherited ones."""
    return Traces(
        weights=weights,
        eligibility=jnp.zeros_like(weights),
        mean=jnp.zeros(neurons, jnp.float32) if rule.signed else None,
        clock=(key, jnp.uint32(0)) if rule.control == "shuffled" else None,
    )


def mark(
    rule: Plasticity, rates: Rates | None, wiring: Wiring, traces: Traces, pre: Array, post: Array
) -> Traces:
    """Traces after a step in which ``post``, float32[neurons], fired after ``pre``."""
    decay = rule.decay if rates is None else rates.decay
    mean = traces.mean
    if mean is not None:
        mean = rule.decay * mean + (1.0 - rule.decay) * post
        post = post - mean
    return traces._replace(
        eligibility=decay * traces.eligibility + wiring.pair(pre, post), mean=mean
    )


def modulate(
    rule: Plasticity, traces: Traces, signals: Signals, judgement: Array
) -> tuple[Traces, Array]:
    """The modulator of this step; ``judgement`` is the weighted sum of the network's own spikes."""
    source = {"spike": judgement, "drive": signals.drive, "event": signals.event}[rule.modulator]
    value = jnp.tanh(rule.scale * source)
    if traces.clock is None:
        return traces, value
    key, step = traces.clock
    heads = Hash(jnp).bits(key, step, SHUFFLE_STREAM) >> np.uint32(31)
    flipped = jnp.where(heads == 1, -value, value)
    return traces._replace(clock=(key, step + np.uint32(1))), flipped


def move(
    rule: Plasticity, rates: Rates | None, wiring: Wiring, traces: Traces, modulator: Array
) -> tuple[Traces, LearnStats]:
    """Weights after the modulator has spoken, and what that did."""
    eta = rule.eta if rates is None else rates.eta
    moved = traces.weights + (eta * modulator) * traces.eligibility
    weights = jnp.clip(moved, -rule.max_weight, rule.max_weight)
    change = jnp.abs(weights - traces.weights).sum() / wiring.size
    return traces._replace(weights=weights), LearnStats(change, modulator)
