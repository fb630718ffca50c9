"""Many feed-forward networks of which an input meets one."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tropism_moe.blocks import SwiGLU
from tropism_moe.routing import Route

NEAREST = 4
"""Experts that answer together while gates are soft."""


class Experts(nn.Module):
    """The experts of a layer.

    Each has parameters of its own: one that nobody asked has no gradient, and costs the optimiser nothing.

    Args:
        width: ``D``.
        hidden: of each.
        count: ``E``.
    """

    def __init__(self, width: int, hidden: int, count: int) -> None:
        super().__init__()
        self.each = nn.ModuleList(SwiGLU(width, hidden) for _ in range(count))

    def forward(self, h: Tensor, route: Route, soft: bool = False) -> Tensor:
        """What the experts say, ``float[..., D]`` of ``float[..., D]``.

        Args:
            h: normalised activations.
            route: where they go.
            soft: let the nearest few answer, weighted by their probabilities, instead of the nearest one.  It answers with a weight
                of 1, whose derivative is that of the logarithm of its gate: the router learns, and an expert that was made of a
                dense network says what that said.
        """
        flat = h.flatten(0, -2)
        if soft:
            weight, expert = route.probabilities.flatten(0, -2).topk(self._nearest, -1)
            weight = weight / weight.sum(-1, keepdim=True)
        else:
            gate = route.gate.reshape(-1, 1)
            weight, expert = gate / gate.detach(), route.expert.reshape(-1, 1)
        return self._answer(flat, weight, expert).view(h.shape)

    @property
    def _nearest(self) -> int:
        return min(NEAREST, len(self.each))

    def _answer(self, flat: Tensor, weight: Tensor, expert: Tensor) -> Tensor:
        """The sum of the answers of the experts ``int64[N, k]``, weighted by ``float[N, k]``."""
        total = torch.zeros_like(flat)
        for e in expert.unique().tolist():
            row, column = (expert == e).nonzero(as_tuple=True)
            said = self.each[e](flat[row]) * weight[row, column, None]
            total = total.index_add(0, row, said)
        return total
