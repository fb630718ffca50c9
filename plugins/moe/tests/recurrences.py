"""Layers of recurrence, and the same by hand."""

from __future__ import annotations

import torch

from tropism_moe.recurrence import (
    GatedRecurrence,
)

GATES = {"as begun": (1.0, 2.94), "floor": (0.0, -50.0), "one": (0.0, 50.0), "all": (4.0, 0.0)}
"""Factor of ``W_p`` and value of ``b_p``."""


def layer_of(width, rank, seed=0, gates="as begun", dtype=torch.float32):
    torch.manual_seed(seed)
    layer = GatedRecurrence(width, rank).to(dtype)
    factor, bias = GATES[gates]
    with torch.no_grad():
        layer.decay.weight.mul_(factor)
        layer.decay_bias.fill_(bias)
    return layer


def stream(lanes, steps, width, dtype=torch.float32):
    """As after a normalisation."""
    x = torch.randn(lanes, steps, width, dtype=dtype)
    return x / x.square().mean(-1, keepdim=True).sqrt()
