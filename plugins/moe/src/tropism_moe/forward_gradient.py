"""Gradients by forward-mode derivatives along random directions: no backward pass, nothing kept of the forward one.

``g = 1/K sum_k (dL . v_k) v_k`` with ``v_k ~ N(0, I)`` is unbiased (Baydin et al. 2022, arXiv:2202.08587).  Over ``n`` parameters
its square is ``(n + K + 1) / K`` times that of the gradient, and its cosine with it about ``sqrt(K / (n + K))``: of use for some
thousand parameters, hopeless for millions.  The seed (``002``) drew ``v ~ N(0, I / n)``, which shrinks the gradient ``n`` times, and
took one-sided differences for derivatives; these are exact.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor
from torch.func import grad_and_value, jvp, vmap

from tropism.errors import OptionError

Parameters = dict[str, Tensor]


class Gradient(NamedTuple):
    """What :func:`forward_gradient` or :func:`reverse_gradient` found.

    Attributes:
        loss: where the parameters are, a scalar.
        gradients: of each parameter, in its shape; an estimate of it, if by forward mode.
    """

    loss: Tensor
    gradients: Parameters


def forward_gradient(
    loss_fn: Callable[[Parameters], Tensor],
    parameters: Mapping[str, Tensor],
    directions: int,
    generator: torch.Generator | None = None,
) -> Gradient:
    """Estimate a gradient.

    Args:
        loss_fn: of parameters, a scalar; of operations that ``torch.func`` can differentiate and map over a batch.
        parameters: where to; they are not changed.
        directions: ``K``, at least 1; all are taken at once, each with a tangent of everything ``loss_fn`` computes.
        generator: of the directions.

    Raises:
        OptionError: there are no parameters or directions, or the loss is no scalar.
    """
    if directions < 1 or not parameters:
        raise OptionError(
            f"{directions} directions and {len(parameters)} parameters; 1 or more of each expected"
        )
    _load()
    point = {name: p.detach() for name, p in parameters.items()}
    drawn = {
        name: torch.randn(directions, *p.shape, dtype=p.dtype, generator=generator)
        for name, p in point.items()
    }
    losses, slopes = vmap(lambda v: jvp(loss_fn, (point,), (v,))[:2])(drawn)
    if losses.shape != (directions,):
        raise OptionError(
            f"loss_fn gave {list(losses.shape[1:])}; a scalar expected: take the mean"
        )
    found = {name: torch.tensordot(slopes / directions, v, 1) for name, v in drawn.items()}
    return Gradient(losses[0], found)


def reverse_gradient(
    loss_fn: Callable[[Parameters], Tensor], parameters: Mapping[str, Tensor]
) -> Gradient:
    """The gradient itself, as a yardstick, and where little is kept of the forward pass; arguments as of :func:`forward_gradient`."""
    gradients, loss = grad_and_value(loss_fn)({name: p.detach() for name, p in parameters.items()})
    return Gradient(loss, gradients)


@functools.cache
def _load() -> None:
    """Have PyTorch load its derivatives, which warns of its own use of what it deprecates."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        jvp(torch.sin, (torch.zeros(()),), (torch.zeros(()),))
