"""What layers share: maps without bias, root-mean-square normalisation, the SwiGLU feed-forward layer, checks of shapes."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from tropism.errors import OptionError
from tropism_moe.shapes import feed_forward_shapes

EPSILON = 1e-6
"""Added to mean squares before a layer (seed 002)."""


def expect(name: str, x: Tensor, shape: tuple[int, ...], dtype: torch.dtype | None = None) -> None:
    """Refuse a tensor of another shape or type, which might broadcast in silence.

    Raises:
        OptionError: naming the tensor, what was expected and what was found.
    """
    if tuple(x.shape) != shape:
        raise OptionError(f"{name} must have shape {shape}, got {tuple(x.shape)}")
    if dtype is not None and x.dtype != dtype:
        raise OptionError(f"{name} must be {dtype}, got {x.dtype}")


def expect_stretch(x: Tensor, width: int, resets: Tensor | None) -> None:
    """Refuse what is not ``float[B, T, width]`` with ``T >= 1``, and resets that are not ``bool[B, T]``.

    Raises:
        OptionError: naming what was expected and what was found.
    """
    if x.dim() != 3 or x.shape[1] < 1 or x.shape[2] != width:
        raise OptionError(
            f"input must be [lanes, steps >= 1, width = {width}], got {list(x.shape)}"
        )
    if resets is not None:
        expect("resets", resets, (x.shape[0], x.shape[1]), torch.bool)


def linear(shape: tuple[int, int], std: float | None = None) -> nn.Linear:
    """A map without bias, of normal weights.

    Args:
        shape: ``(out, in)``.
        std: of the weights; by default one over the root of ``in``, which keeps the variance of what comes in.
    """
    rows, columns = shape
    layer = nn.Linear(columns, rows, bias=False)
    nn.init.normal_(layer.weight, std=columns**-0.5 if std is None else std)
    return layer


def rms_norm(width: int) -> nn.RMSNorm:
    """What stands before a layer (Zhang and Sennrich 2019, arXiv:1910.07467)."""
    return nn.RMSNorm(width, eps=EPSILON)


class SwiGLU(nn.Module):
    """The feed-forward layer ``down(silu(gate(x)) * up(x))`` (Shazeer 2020, arXiv:2002.05202).

    Args:
        width: ``D``.
        hidden: of the two maps inside.

    Raises:
        OptionError: if a size is below 1.
    """

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        shapes = feed_forward_shapes(width, hidden)
        self.gate, self.up = linear(shapes["gate"]), linear(shapes["up"])
        self.down = linear(shapes["down"])

    def forward(self, x: Tensor) -> Tensor:
        """What is added to the stream, ``float[..., D]`` of ``float[..., D]``, the normalised stream."""
        return self.down(functional.silu(self.gate(x)) * self.up(x))
