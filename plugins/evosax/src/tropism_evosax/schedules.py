"""How the learning rate and sigma move over a run: optax schedules by name."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import optax

from tropism.errors import UnknownNameError
from tropism_evosax.registry import OPTIMIZERS, SCHEDULES


def make_schedule(name: str, start: float, final: float, generations: int) -> optax.Schedule:
    """A schedule over generations.

    Args:
        name: ``constant``; ``exponential`` or ``cosine`` decay.
        start: value in generation 0.
        final: what the last generation has, as a fraction of ``start``.
        generations: of the run.

    Raises:
        UnknownNameError: if there is no such schedule.
    """
    if name == "constant":
        return optax.constant_schedule(start)
    if name == "exponential":
        return optax.exponential_decay(start, max(1, generations - 1), final)
    if name == "cosine":
        return optax.cosine_decay_schedule(start, max(1, generations - 1), alpha=final)
    raise UnknownNameError("schedule", name, SCHEDULES)


def make_optimizer(name: str, lr: optax.Schedule) -> optax.GradientTransformation:
    """An optimiser of the mean.

    Args:
        name: ``sgd`` (plain), ``momentum`` (.9), ``adam``, or ``clipup``: normalised, momentum .9, no step longer
            than twice the learning rate (N. Toklu et al. 2020, arXiv:2008.02387).
        lr: learning rate by generation.

    Raises:
        UnknownNameError: if there is no such optimiser.
    """
    if name == "sgd":
        return optax.sgd(lr)
    if name == "momentum":
        return optax.sgd(lr, momentum=0.9)
    if name == "adam":
        return optax.adam(lr)
    if name == "clipup":
        return optax.chain(
            optax.normalize_by_update_norm(), _clip_up(2.0, 0.9), optax.scale_by_learning_rate(lr)
        )
    raise UnknownNameError("optimizer", name, OPTIMIZERS)


def _clip_up(longest: float, momentum: float) -> optax.GradientTransformation:
    """ClipUp's velocity: what evosax 0.3 has too, by functions that optax has deprecated."""

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        del params
        velocity = momentum * state + updates
        velocity *= jnp.minimum(1.0, longest / jnp.maximum(jnp.linalg.norm(velocity), 1e-12))
        return velocity, velocity

    return optax.GradientTransformation(lambda params: jnp.zeros_like(params), update)
