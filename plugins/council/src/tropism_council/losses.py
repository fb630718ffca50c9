"""What an update of both systems lowers, and what is told of it.

Shapes: ``B`` lanes, ``T`` steps.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from tropism.errors import DivergedError

DISCOUNT = 0.9
"""Of the answers that the value head foresees."""


class Losses(NamedTuple):
    """What an update lowers, each a scalar.

    Attributes:
        reflex: negative log-likelihood of System 1, nats.
        council: of System 2 over its steps (:func:`tropism_council.council.ponder_loss`).
        ponder: divergence of the halting from its prior.
        distil: divergence of System 1 from the teacher's System 2.
        value: squared error of the discounted share of right answers to come.
        introspection: of the guess of the next telemetry.
        gate: of the estimate of what thinking gains.
        editor: surprise after edits within an episode; 0 in updates in which none is rehearsed.
    """

    reflex: Tensor
    council: Tensor
    ponder: Tensor
    distil: Tensor
    value: Tensor
    introspection: Tensor
    gate: Tensor
    editor: Tensor


class Facts(NamedTuple):
    """What is logged beside the losses; scalars.

    Attributes:
        steps: that the council took.
        gain: of System 2 over System 1, in probability of the right answer.
        apart: how far they differed, total variation.
        right: share of System 1's answers that were right.
    """

    steps: Tensor
    gain: Tensor
    apart: Tensor
    right: Tensor


def returns(right: Tensor) -> Tensor:
    """Discounted share of right answers from each step to the end of the stretch, ``float[B, T]`` of ``bool[B, T]``."""
    total, found = torch.zeros(len(right)), []
    for now in reversed(right.float().unbind(1)):
        total = (1 - DISCOUNT) * now + DISCOUNT * total
        found.append(total)
    return torch.stack(found[::-1], 1)


def check(losses: Losses) -> None:
    """Refuse to go on.

    Raises:
        DivergedError: a loss is not a number; it names its head.
    """
    for name, value in losses._asdict().items():
        if not torch.isfinite(value):
            raise DivergedError(name, value.item())
