"""What is learned one after the other: a dense network, experts made of it, their ternary form.

1. ``dense``: a recurrent network with one feed-forward network a layer imitates the teacher.
2. ``sparse``: every expert begins as that network and some noise (sparse upcycling, Komatsuzaki et al. 2022, arXiv:2212.05055); the
   nearest few answer together, by gates that become sharper, and in the end the nearest alone.
3. ``ternary``: more and more weights are quantised while the answers are held near the dense network's (Hinton et al. 2015,
   arXiv:1503.02531).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from tropism_moe.agent_config import MoEConfig
from tropism_moe.choices import Choices
from tropism_moe.lessons import Lesson
from tropism_moe.model import Model, Output, RecurrentLayer, Routing, State
from tropism_moe.packed import ternarise
from tropism_moe.routing import TEMPERATURE, balance_loss, smoothness_loss
from tropism_moe.ternary import set_share, share_at

HOT = 1.0
"""Temperature at which gates begin: on the unit torus all are equally likely."""
SOFT = 0.6
"""Part of the sparse stage in which several experts answer."""


class Stage(NamedTuple):
    """One of them.

    Attributes:
        name: of it.
        share: of the environment steps.
    """

    name: str
    share: float


STAGES = (Stage("dense", 0.45), Stage("sparse", 0.2), Stage("ternary", 0.35))


class Losses(NamedTuple):
    """What an update lowers, scalars, nats where answers are discrete.

    Attributes:
        imitation: of the teacher's actions.
        distillation: divergence from the dense network; 0 in other stages than the last.
        balance: 1 where the load of the experts is even.
        smoothness: mean way of the routing a step.
    """

    imitation: Tensor
    distillation: Tensor
    balance: Tensor
    smoothness: Tensor


def build(stage: str, config: MoEConfig, inputs: int, outputs: int) -> Model:
    """The network of a stage, untrained."""
    model = Model(config.model(inputs, outputs, experts=stage != "dense"))
    return ternarise(model) if stage == "ternary" else model


@torch.no_grad()
def upcycle(dense: Model, sparse: Model, noise: float) -> None:
    """Let every expert of ``sparse`` begin as the network of its layer in ``dense``, and some noise; all else as it is there."""
    for layer, other in zip(_recurrent(sparse), _recurrent(dense), strict=True):
        taught = other.experts.each[0].state_dict()
        for expert in layer.experts.each:
            expert.load_state_dict(
                {k: w + noise * w.std() * torch.randn_like(w) for k, w in taught.items()}
            )
    shared = {k: v for k, v in dense.state_dict().items() if ".experts." not in k}
    routers = {k for k in shared if ".routers." in k}
    sparse.load_state_dict({k: v for k, v in shared.items() if k not in routers}, strict=False)


def routing_at(stage: str, progress: float, slack: float = 0.0) -> Routing:
    """How a stage routes at a progress in [0, 1]: gates of the sparse one go from hot to cold, then the nearest expert answers alone, give or take the slack."""
    if stage != "sparse" or progress >= SOFT:
        return Routing(slack=0.0 if stage == "dense" else slack)
    return Routing(temperature=HOT * (TEMPERATURE / HOT) ** (progress / SOFT), soft=True)


def losses(
    model: Model,
    lesson: Lesson,
    state: State,
    choices: Choices,
    routing: Routing,
    taught: Output | None,
) -> tuple[Losses, State]:
    """What a lesson says of a network, and its state after it.

    Args:
        model: the network.
        lesson: some steps of all lanes.
        state: before them.
        choices: of actions.
        routing: of the network.
        taught: what the dense network says of the same lesson; None in other stages than the last.
    """
    output, state = model(lesson.seen, state, lesson.resets, routing)
    said = output.outputs
    apart = torch.zeros(()) if taught is None else choices.divergence(taught.outputs, said).mean()
    found = Losses(
        choices.loss(said, lesson.wanted).mean(),
        apart,
        torch.stack([balance_loss(route) for route in output.routes]).mean(),
        torch.stack([smoothness_loss(r.position, lesson.resets) for r in output.routes]).mean(),
    )
    return found, state


def total(found: Losses, config: MoEConfig) -> Tensor:
    """The weighted sum."""
    imitation = found.imitation + config.distillation * found.distillation
    return imitation + config.balance * found.balance + config.smoothness * found.smoothness


def set_progress(stage: str, model: Model, progress: float) -> None:
    """Quantise the share of the weights that is due."""
    if stage == "ternary":
        set_share(model, share_at(progress))


def _recurrent(model: Model) -> list[RecurrentLayer]:
    return [module for module in model.modules() if isinstance(module, RecurrentLayer)]
