"""Top-1 routing over experts on the 3-torus: ``z = (W h + b) mod 1`` goes to the nearest, weighted by a gate that learns.

Idea: seed 002, in which no gate weighed the expert's output, so that the task gave its router no gradient; here the gate is
that of Switch transformers (Fedus et al. 2021, arXiv:2101.03961) with ``-d²/τ`` as logits.  ``E`` experts, ``D`` width.

Everything from ``W h`` to the gate is computed in float64: training and serving (:mod:`~tropism_moe.kernels_routing`) sum in other orders,
by which in float32 one of two million queries went to another expert.

Pre-gated routing (Hwang et al. 2023, arXiv:2308.12066) is :class:`Routers` on what enters a block: its experts can then all be
fetched at once.  On what entered it a step before, they can be fetched while that step computes: gated ahead.  Cache-aware routing is
:func:`nearest_resident`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from tropism.errors import OptionError
from tropism_moe.blocks import expect
from tropism_moe.lattice import Floats, Indices, Lattice, fold

ROW_NORM = 0.5
"""Of the rows of ``W`` at first: for ``h ~ N(0, I)`` the load is then as even as a multinomial's; at 0.2 its Gini is 0.55."""

TEMPERATURE = 0.01
"""``τ`` when all is annealed: close to the mean squared distance to the nearest expert of the 8×4×4 lattice, 0.0117."""


class Route(NamedTuple):
    """Where activations ``[..., D]`` go; floats in their dtype.

    Attributes:
        expert: the nearest, the first of equals, or one that seemed so, ``int64[...]``.
        gate: its probability, ``[...]``; multiplies its output.
        position: ``z``, ``[..., 3]`` in [0, 1].
        probabilities: ``softmax(-d²/τ)``, ``[..., E]``: soft gates while ``τ`` is annealed, from which a router learns more
            than from the one gate.
    """

    expert: Tensor
    gate: Tensor
    position: Tensor
    probabilities: Tensor


class Router(nn.Module):
    """The router of one layer.

    The rows of ``W`` are orthogonal at first, else ``z`` would not be even though its coordinates are; ``b`` is uniform, as
    around ``z = 0`` eight experts of the lattice are equally near.  Positions of experts are a buffer, that :meth:`fold_` moves.

    Args:
        width: ``D``, at least 3.
        lattice: of the experts.

    Raises:
        tropism.errors.OptionError: if the width is less than 3.
    """

    positions: Tensor

    def __init__(self, width: int, lattice: Lattice) -> None:
        super().__init__()
        if width < 3:
            raise OptionError(f"width of a router: expected at least 3, got {width!r}")
        self.weight = nn.Parameter(nn.init.orthogonal_(torch.empty(3, width)) * ROW_NORM)
        self.bias = nn.Parameter(torch.rand(3))
        self.register_buffer("positions", torch.from_numpy(lattice.positions))

    def forward(self, h: Tensor, temperature: float = TEMPERATURE, slack: float = 0.0) -> Route:
        """Route.

        Args:
            h: normalised activations, ``float[..., D]``.
            temperature: ``τ``, greater than 0; from hot, where the gates are soft, to :data:`TEMPERATURE`.
            slack: every expert seems farther by up to so much, by chance: one that is hardly farther than the nearest learns to
                stand in for it, as :func:`nearest_resident` has it do.
        """
        _check(temperature)
        u = nn.functional.linear(h.double(), self.weight.double(), self.bias.double())
        z = u % 1 % 1  # as `mod_one`; to a gradient it is the identity
        squared = _squared_distance(z[..., None, :], self.positions.double())
        seen = squared.detach().sqrt() + slack * torch.rand_like(squared) if slack else squared
        expert, soft = seen.argmin(-1), torch.softmax(squared / -temperature, -1)
        gate = soft.gather(-1, expert[..., None])[..., 0]
        return Route(expert, gate.to(h.dtype), z.to(h.dtype), soft.to(h.dtype))

    def fold_(self, route: Route, rate: float) -> None:
        """Draw the experts to what they were chosen for, as :func:`~tropism_moe.lattice.fold`, in the order of the route."""
        table = self.positions.numpy(force=True).astype(np.float64)
        fold(table, route.position.numpy(force=True), route.expert.numpy(force=True), rate)
        self.positions.copy_(torch.from_numpy(table))


class Tables(NamedTuple):
    """What routers know, for serving: ``weights[L, 3, D]``, ``bias[L, 3]``, ``positions[L, E, 3]``, all float64."""

    weights: Floats
    bias: Floats
    positions: Floats


class Routers(nn.ModuleList):
    """One router for each of ``layers`` layers, which together route what enters their block (pre-gated)."""

    def __init__(self, width: int, lattice: Lattice, layers: int) -> None:
        super().__init__(Router(width, lattice) for _ in range(layers))

    def forward(self, h: Tensor, temperature: float = TEMPERATURE) -> list[Route]:
        """The route of every layer, from the same ``float[..., D]``."""
        return [router(h, temperature) for router in self]

    def tables(self) -> Tables:
        """A copy of all that routes, stacked."""
        names = ("weight", "bias", "positions")
        stacks = (torch.stack([getattr(router, name) for router in self]) for name in names)
        return Tables(*(stack.numpy(force=True).astype(np.float64) for stack in stacks))


def balance_loss(route: Route) -> Tensor:
    """Load balance of Switch transformers, ``E Σ f_e P_e``; 1 where shares ``f`` or mean probabilities ``P`` are even.

    Not the variance of the load, as in the seed: that of the counts has no gradient, and that of the mean probabilities is 0
    too if all are flat and yet one expert is the nearest of all.
    """
    probabilities = route.probabilities.flatten(0, -2)
    experts = probabilities.shape[-1]
    shares = torch.bincount(route.expert.flatten(), minlength=experts) / len(probabilities)
    return experts * (shares.to(probabilities.dtype) * probabilities.mean(0)).sum()


def smoothness_loss(position: Tensor, resets: Tensor | None = None) -> Tensor:
    """Mean way on the torus from one step to the next, in [0, √3/2]; 0 if there is no step.

    Args:
        position: ``float[..., T, 3]``.
        resets: where an episode begins, ``bool[..., T]``; the way there does not count.

    Raises:
        tropism.errors.OptionError: if resets have another shape or type.
    """
    if resets is None:
        resets = torch.zeros(position.shape[:-1], dtype=torch.bool, device=position.device)
    expect("resets", resets, tuple(position.shape[:-1]), torch.bool)
    apart, counts = position.diff(dim=-2), ~resets[..., 1:]
    way = torch.linalg.vector_norm(apart - apart.round(), dim=-1)
    return way.masked_fill(~counts, 0).sum() / counts.sum().clamp(min=1)


def nearest_resident(
    distance: Floats, resident: npt.NDArray[np.bool_], tolerance: float
) -> tuple[Indices, npt.NDArray[np.bool_]]:
    """Cache-aware choice (idea: Skliar et al. 2024, arXiv:2412.00099): the nearest expert at hand, if hardly farther.

    Args:
        distance: to every expert, not squared, ``float64[..., E]``.
        resident: which need not be read, ``bool[E]`` or ``bool[..., E]``.
        tolerance: how much farther than the nearest of all it may be, at least 0.

    Returns:
        The expert, ``int64[...]``, else the nearest of all; and where it is not the nearest, ``bool[...]``.

    Raises:
        tropism.errors.OptionError: if the tolerance is negative or no number.
    """
    if not tolerance >= 0:
        raise OptionError(
            f"tolerance of cache-aware routing: expected at least 0, got {tolerance!r}"
        )
    nearest = distance.argmin(-1)
    at_hand = np.where(resident, distance, np.inf)
    close = at_hand.min(-1) <= distance.min(-1) + tolerance
    expert = np.where(close, at_hand.argmin(-1), nearest)
    return expert, expert != nearest


def _squared_distance(a: Tensor, b: Tensor) -> Tensor:
    """As :func:`~tropism_moe.lattice.squared_distance`, to the bit."""
    total = torch.zeros((), dtype=a.dtype, device=a.device)
    for k in range(3):
        apart = a[..., k] - b[..., k]
        total = total + (apart - apart.round()).square()
    return total


def _check(temperature: float) -> None:
    if not temperature > 0:
        raise OptionError(f"temperature of routing: expected more than 0, got {temperature!r}")
