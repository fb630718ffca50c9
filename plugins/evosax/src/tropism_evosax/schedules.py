"""How the learning rate and sigma move over a run: optax schedules by name."""

from __future__ import annotations

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
        name: ``sgd`` (plain), ``momentum`` (.9), ``adam`` or ``clipup`` (Toklu et al. 2020, arXiv:2008.02387:
            normalised, momentum .9, no step longer than twice the first learning rate).
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
        from evosax.core.optimizer import scale_by_clipup

        return optax.chain(
            optax.normalize_by_update_norm(),
            scale_by_clipup(max_velocity_ratio=2.0, momentum=0.9),
            optax.scale_by_learning_rate(lr),
        )
    raise UnknownNameError("optimizer", name, OPTIMIZERS)
