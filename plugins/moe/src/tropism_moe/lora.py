"""Low-rank adaptation of a linear head, ``W + B A`` (Hu et al. 2021, arXiv:2106.09685)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tropism.errors import OptionError


class LoRA(nn.Module):
    """A linear head whose weights stay, beside a product of two thin matrices that learns.

    ``A`` is random and ``B`` zero at first, so that the head is what it was and yet has a gradient; the seed (``002``) had zeros
    in both, where neither ever moves.

    Args:
        weight: ``W`` of the head, ``float[V, D]``; not copied, and never changed.
        rank: ``r``, at most the lesser of ``V`` and ``D``.
        generator: of ``A``.

    Attributes:
        a: ``A``, ``float[r, D]``, at first normal of variance ``1 / D``.
        b: ``B``, ``float[V, r]``.

    Raises:
        OptionError: for another rank or shape.
    """

    weight: Tensor

    def __init__(self, weight: Tensor, rank: int, generator: torch.Generator | None = None) -> None:
        super().__init__()
        if weight.ndim != 2 or not weight.is_floating_point():
            raise OptionError(
                f"weight is {weight.dtype}{list(weight.shape)}; a head, float[outputs, width], expected"
            )
        outputs, width = weight.shape
        if not 1 <= rank <= min(outputs, width):
            raise OptionError(
                f"rank is {rank}; 1 to {min(outputs, width)} expected for a head of {list(weight.shape)}"
            )
        self.register_buffer("weight", weight.detach(), persistent=False)
        drawn = torch.randn(rank, width, dtype=weight.dtype, generator=generator)
        self.a = nn.Parameter(drawn / width**0.5)
        self.b = nn.Parameter(weight.new_zeros(outputs, rank))

    def forward(self, x: Tensor) -> Tensor:
        """Outputs ``float[..., V]`` of latents ``float[..., D]``."""
        return x @ self.weight.T + self.change(x)

    def change(self, x: Tensor) -> Tensor:
        """What the thin matrices add to the outputs, ``float[..., V]``; exactly 0 at first."""
        return x @ self.a.T @ self.b.T

    def merged(self) -> Tensor:
        """``W + B A``, ``float[V, D]``, detached."""
        return (self.weight + self.b @ self.a).detach()
