"""Ternary weights and int8 activations in training: the model computes what its packed form will, gradients pass straight through.

Weights become -1, 0 or 1 times one scale a matrix, their mean magnitude (BitNet b1.58, Ma et al. 2024, arXiv:2402.17764); a scale a row
quantises no better while rows are alike, as those of one layer are when they begin.  Activations become int8 by the largest
magnitude of their token.  Training begins with a quarter of the weights, the largest ones (Zhou et al. 2017, arXiv:1702.03044), and goes on
by quarters (seed 002).
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from tropism.errors import OptionError

SCALE_FLOOR = 1e-10
"""Of scales of weights; a matrix of zeros has it."""
ACTIVATION_FLOOR = 1e-20
"""Largest magnitude of a token that is as good as zero; the kernels have the same."""
STAGES = 4
"""Of the schedule, of equal length."""


def quantise(w: Tensor) -> tuple[Tensor, Tensor]:
    """Weights to be packed.

    Args:
        w: ``float[N, K]``.

    Returns:
        ``int8[N, K]`` in {-1, 0, 1}, and their scale, ``float32[]``.

    Raises:
        OptionError: a weight is not finite.
    """
    if not w.isfinite().all():
        raise OptionError(
            f"weights must be finite, {int((~w.isfinite()).sum())} of {list(w.shape)} are not; "
            "go back to the last checkpoint"
        )
    codes, scale = _codes(w.detach(), 1.0)
    return codes.to(torch.int8), scale.to(torch.float32)


def straight_through(w: Tensor, share: float = 1.0) -> Tensor:
    """The weights that the packed form has, whose derivative by ``w`` is 1 (Bengio et al. 2013, arXiv:1308.3432).

    Args:
        w: ``float[N, K]``.
        share: of them that is quantised, the largest, in [0, 1].
    """
    codes, scale = _codes(w.detach(), share)
    return _through(codes * scale, w)


def quantise_activations(x: Tensor) -> tuple[Tensor, Tensor]:
    """Every token in int8.

    Args:
        x: ``float[..., K]``.

    Returns:
        Whole numbers in [-127, 127], ``float[..., K]``, and their scale, ``float[..., 1]``; no gradient flows through either.
    """
    x = x.detach()
    scale = x.abs().amax(-1, keepdim=True).clamp_min(ACTIVATION_FLOOR) / 127
    return (x / scale).round(), scale


def share_at(progress: float) -> float:
    """Share of the weights that is quantised: 1/4, 1/2, 3/4 and 1, each for a quarter of the training.

    Args:
        progress: of the training, in [0, 1].

    Raises:
        OptionError: it is not.
    """
    if not 0 <= progress <= 1:
        raise OptionError(f"progress must lie in [0, 1], got {progress}")
    return min(math.floor(progress * STAGES) + 1, STAGES) / STAGES


def set_share(model: nn.Module, share: float) -> None:
    """Let every :class:`TernaryLinear` of a model quantise this share of its weights.

    Raises:
        OptionError: ``share`` is not in [0, 1].
    """
    if not 0 <= share <= 1:
        raise OptionError(f"share must lie in [0, 1], got {share}")
    for module in model.modules():
        if isinstance(module, TernaryLinear):
            module.share.fill_(share)


class TernaryLinear(nn.Module):
    """``y = W x`` without bias, as the kernels compute it: with all weights quantised the same bits in float32, to 132,000 inputs.

    Args:
        inputs: ``K``.
        outputs: ``N``.

    Attributes:
        weight: what is trained, ``float[N, K]``.
        share: of it that is quantised, ``float32[]`` in [0, 1]; all at first.
    """

    share: Tensor

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs))
        nn.init.kaiming_uniform_(self.weight, math.sqrt(5))  # as nn.Linear does
        self.register_buffer("share", torch.tensor(1.0))
        self._kept: tuple[Any, tuple[Tensor, Tensor]] | None = None

    def forward(self, x: Tensor) -> Tensor:
        """``float[..., N]`` of ``float[..., K]``."""
        codes, scale = self._quantised()
        q, step = quantise_activations(x)
        # whole numbers are multiplied, exactly, and scaled thereafter: in this order the kernels do it
        whole = nn.functional.linear(_through(q, x / step), _through(codes, self.weight / scale))
        return whole * (step * scale)

    def _quantised(self) -> tuple[Tensor, Tensor]:
        """Codes and scale, kept until the weights change: a learner that plays asks for them many times between two updates."""
        state = id(self.weight), self.weight._version, float(self.share)
        if self._kept is None or self._kept[0] != state:
            self._kept = state, _codes(self.weight.detach(), state[-1])
        return self._kept[1]


def _codes(w: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """What weights are in units of their scale, ``float[N, K]``, the largest of them whole; and the scale, ``float[]``."""
    # summed in float64, or the scale would show how many threads had shared the sum
    scale = w.abs().mean(dtype=torch.float64).to(w.dtype).clamp_min(SCALE_FLOOR)
    relative = w / scale
    whole = relative.round().clamp(-1, 1)
    count = round(share * w.numel())
    if count == w.numel():
        return whole, scale
    if not count:
        return relative, scale
    size = w.abs()
    least = size.flatten().kthvalue(w.numel() - count + 1).values
    return torch.where(size >= least, whole, relative), scale


def _through(value: Tensor, x: Tensor) -> Tensor:
    """``value``, with the derivative of ``x``: ``x + (value - x).detach()``, but exact."""
    return value + (x - x.detach())
