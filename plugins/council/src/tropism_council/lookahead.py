"""Updates that can be tried before they are made: parameters of many lanes as rows, and Adam as a function of its gradient.

Shapes: ``B`` lanes, each with weights of its own; ``P`` numbers in a lane's weights; ``S`` samples a lane.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

Params = dict[str, Tensor]
Sample = tuple[Tensor, ...]
BETAS = 0.5, 0.9
"""Adam's memory, shorter than usual: an episode has few edits, and what they learned from soon holds no more."""
EPSILON = 1e-8


class Aims(NamedTuple):
    """What weights are learned for; their lanes must not be mixed.  ``torch.func.vmap`` makes such functions from those of one lane.

    Attributes:
        loss: the agent's own, ``float[B, S]`` of weights ``float[B, ...]`` and samples ``[B, S, ...]``; it judges every update.
        ties: how far the weights are from their teacher, and from System 2 (0 where that was not asked), ``float[B, S, 2]`` of
            weights, the teacher's weights and samples.
    """

    loss: Callable[[Params, Sample], Tensor]
    ties: Callable[[Params, Params, Sample], Tensor]


class Layout:
    """Where each parameter of a network stands in a row of ``P`` numbers.

    Args:
        params: parameters of one lane.
    """

    def __init__(self, params: Mapping[str, Tensor]) -> None:
        self.shapes = {name: tuple(value.shape) for name, value in params.items()}
        self._counts = [value.numel() for value in params.values()]

    def join(self, params: Mapping[str, Tensor]) -> Tensor:
        """One lane's parameters as a row, ``float[P]``."""
        return torch.cat([params[name].detach().reshape(-1) for name in self.shapes])

    def split(self, rows: Tensor) -> Params:
        """Rows ``float[B, P]`` as parameters ``float[B, ...]``, through which gradients flow back."""
        parts = rows.split(self._counts, -1)
        shaped = zip(self.shapes.items(), parts, strict=True)
        return {
            name: part.unflatten(-1, shape) if shape else part[:, 0]
            for (name, shape), part in shaped
        }


class Moments(NamedTuple):
    """What Adam remembers (Kingma and Ba 2015, arXiv:1412.6980).

    Attributes:
        mean: of the gradients, ``float[..., B, P]``.
        square: mean of their squares, ``float[..., B, P]``.
        steps: updates so far, ``int64[B]``.
    """

    mean: Tensor
    square: Tensor
    steps: Tensor


def adam(gradient: Tensor, moments: Moments) -> tuple[Tensor, Moments]:
    """Adam's update at a learning rate of one, to be subtracted, and its moments after it.

    Args:
        gradient: ``float[..., B, P]``; the update can be differentiated by it.
        moments: of before, ``float[B, P]``.
    """
    (first, second), steps = BETAS, moments.steps + 1
    mean = first * moments.mean + (1 - first) * gradient
    square = second * moments.square + (1 - second) * gradient**2
    mean_grown, square_grown = (1 - beta ** steps[:, None] for beta in BETAS)
    # epsilon stands under the root: its slope is finite where a gradient is 0
    update = (mean / mean_grown) / (square / square_grown + EPSILON**2).sqrt()
    return update, Moments(mean, square, steps)


class Proposal(NamedTuple):
    """Two updates that wait for an answer; ``C = 2``.

    Attributes:
        rows: weights after them, ``float[C, B, P]``.
        moments: Adam's after them.
        scale: of the learning rate, ``float[C, B]``.
        norm: of the gradient of the agent's own loss, ``float[B]``.
        live: lanes that wait, ``bool[B]``.
    """

    rows: Tensor
    moments: Moments
    scale: Tensor
    norm: Tensor
    live: Tensor

    def beside(self, old: Proposal | None) -> Proposal:
        """This one, and in the lanes that still wait an older one."""
        if old is None:
            return self
        waits, row = old.live, old.live[:, None]
        moments = Moments(
            torch.where(row, old.moments.mean, self.moments.mean),
            torch.where(row, old.moments.square, self.moments.square),
            self.moments.steps,
        )
        return Proposal(
            torch.where(row, old.rows, self.rows),
            moments,
            torch.where(waits, old.scale, self.scale),
            torch.where(waits, old.norm, self.norm),
            waits | self.live,
        )

    def detach(self) -> Proposal:
        """The same, into which no gradient flows."""
        moments = Moments(
            self.moments.mean.detach(), self.moments.square.detach(), self.moments.steps
        )
        return self._replace(rows=self.rows.detach(), moments=moments, scale=self.scale.detach())


def gradients(
    aims: Aims, layout: Layout, rows: Tensor, teacher: Tensor, samples: Sample, valid: Tensor
) -> Tensor:
    """Gradients of the loss and of both ties, ``float[3, B, P]``, each of a mean over a lane's valid samples (``bool[B, S]``)."""
    rows = rows.detach().requires_grad_()
    share = valid / valid.sum(1, keepdim=True).clamp(min=1)
    with torch.enable_grad():
        params = layout.split(rows)
        loss = aims.loss(params, samples)[..., None]
        losses = torch.cat([loss, aims.ties(params, layout.split(teacher), samples)], -1)
        means = (torch.where(valid[..., None], losses, 0) * share[..., None]).sum((0, 1)).unbind()
    return torch.stack(
        [torch.autograd.grad(x, rows, retain_graph=True, materialize_grads=True)[0] for x in means]
    )


def after_choice(losses: Tensor, later: Tensor, live: Tensor, temperature: float) -> Tensor:
    """What the candidates cost once one of them is chosen: the loss that an editor lowers, a scalar.

    The choice is a soft one, by the losses on the next sample, and is paid by those on the sample after it.  Paying it by
    the same losses would reward a spread for its luck: of two guesses the better one looks good, though neither is.

    Args:
        losses: on the next sample, ``float[C, B]``.
        later: on the one after, ``float[C, B]``.
        live: lanes with candidates, ``bool[B]``.
        temperature: nats by which a candidate must be better to be chosen e times as often.
    """
    expected = (torch.softmax(-losses / temperature, 0) * later).sum(0)
    return torch.where(live, expected, 0).sum() / live.sum().clamp(min=1)
