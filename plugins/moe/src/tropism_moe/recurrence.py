"""A gated linear recurrence: fast weights whose rows decay, each at a rate that the input sets.

Shapes: ``B`` lanes, ``T`` steps, ``D`` width, ``r`` rank.  A step keeps, writes and reads (seed 002; the form is that of GLA,
Yang et al. 2023, arXiv:2312.06635, with the decay on the axis of the values)::

    g = max(sigmoid(W_p x + b_p), 1/e)    S' = diag(g) S + v k^T    y = W_o norm(S' q)

A stretch is read in chunks, in which the recurrence closes: with ``a`` the running product of ``g`` within the chunk and
``w = v / a``, all its steps read ``a (tril(q k^T) w + q S^T)`` and it leaves ``a_last (S + w^T k)``.  No more than one state
a chunk is ever held.  The running product takes the place of the exponential of a sum of logarithms, which is the same number:
its rounding is relative, and what two steps of a chunk share of it cancels.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from tropism_moe.blocks import expect, expect_stretch, linear
from tropism_moe.shapes import recurrence_shapes

CHUNK = 32
"""Steps that are read at once; ``1 / a`` is at most ``e^32 = 8e13``, far from where float32 ends."""
DECAY_FLOOR = math.exp(-1)
"""Least decay a step, in log -1 (seed 002 as corrected): without it ``1 / a`` overflows.  Below it a gate has no gradient."""
DECAY_START = 0.95
"""Decay a step of an input of zeros, before training (seed 002)."""
READ_EPSILON = 0.1
"""Added to mean squares of what is read, which begin between 1 and 10.

What is read is now and then nearly nothing, and mostly rounding: at the first step of an episode, ``v (k q)``, wherever key and
query are nearly orthogonal.  This bounds by how much the norm enlarges it, forwards and backwards, to 3; with 1e-6, steps and
stretches differ by 1e-4 in float32.
"""


class FastWeights(NamedTuple):
    """The state.

    Attributes:
        weights: ``S``, ``float[B, D, r]``.
    """

    weights: Tensor

    def forget(self, mask: Tensor) -> FastWeights:
        """The same with nothing written in the lanes of ``bool[B]``.

        Raises:
            OptionError: if the mask has another shape or type.
        """
        expect("mask", mask, (len(self.weights),), torch.bool)
        return FastWeights(self.weights.masked_fill(mask[:, None, None], 0))

    def detach(self) -> FastWeights:
        """The same, through which no gradient flows."""
        return FastWeights(self.weights.detach())


class Inputs(NamedTuple):
    """What steps do to fast weights.

    Attributes:
        query: ``float[B, T, r]``.
        key: ``float[B, T, r]``.
        value: ``float[B, T, D]``.
        decay: ``float[B, T, D]`` in [``DECAY_FLOOR``, 1].
        resets: ``bool[B, T]``, before which steps all is forgotten.
    """

    query: Tensor
    key: Tensor
    value: Tensor
    decay: Tensor
    resets: Tensor


def read_step(inputs: Inputs, weights: Tensor) -> tuple[Tensor, Tensor]:
    """One step, by the equations as they stand: what it reads, ``float[B, 1, D]``, and the weights after it.

    Args:
        inputs: of the step, ``T = 1``.
        weights: before it, ``float[B, D, r]``.
    """
    kept = weights.masked_fill(inputs.resets[..., None], 0) * inputs.decay.mT
    weights = torch.addcmul(kept, inputs.value.mT, inputs.key)
    return (weights @ inputs.query.mT).mT, weights


def read_chunk(inputs: Inputs, weights: Tensor) -> tuple[Tensor, Tensor]:
    """All steps of a chunk at once: what they read, ``float[B, T, D]``, and the weights after the last.

    A step sees the steps of its own episode only, and the weights from before the chunk only while nothing was reset.

    Args:
        inputs: of the steps, ``1 <= T <= CHUNK``.
        weights: before them, ``float[B, D, r]``.
    """
    query, key, value, decay, resets = inputs
    episode = resets.cumsum(1)
    seen = (episode[:, :, None] == episode[:, None, :]).tril()
    first = episode[..., None] == 0
    product = decay.cumprod(1)
    scaled = value / product
    old = (query @ weights.mT).masked_fill(~first, 0)
    read = product * torch.baddbmm(old, (query @ key.mT).masked_fill(~seen, 0), scaled)
    kept = weights.masked_fill(~first[:, -1:], 0)
    written = torch.baddbmm(kept, scaled.mT, key.masked_fill(~seen[:, -1, :, None], 0))
    return read, product[:, -1, :, None] * written


def read(inputs: Inputs, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Any number of steps: what they read, ``float[B, T, D]``, and the weights after the last, ``float[B, D, r]``."""
    if inputs.query.shape[1] == 1:
        return read_step(inputs, weights)
    found = []
    for chunk in zip(*(part.split(CHUNK, 1) for part in inputs), strict=True):
        some, weights = read_chunk(Inputs(*chunk), weights)
        found.append(some)
    return torch.cat(found, 1), weights


class GatedRecurrence(nn.Module):
    """The layer.

    The seed begins with ``W_p = I``; here it begins normal, with the same variance: gates vary as much, and ternary weights,
    which share one scale, can hold it.  The norm has no gain of its own, since ``W_o`` follows.

    Args:
        width: ``D``.
        rank: ``r``, of keys and queries.

    Raises:
        OptionError: if a size is below 1.
    """

    def __init__(self, width: int, rank: int) -> None:
        super().__init__()
        self.width, self.rank = width, rank
        shapes = recurrence_shapes(width, rank)
        self.decay, self.value = linear(shapes["decay"]), linear(shapes["value"])
        self.key = linear(shapes["key"])
        self.query = linear(shapes["query"], (width * rank) ** -0.5)  # k q has variance 1
        self.out = linear(shapes["out"])
        start = math.log(DECAY_START / (1 - DECAY_START))
        self.decay_bias = nn.Parameter(torch.full((width,), start))
        self.norm = nn.RMSNorm(width, eps=READ_EPSILON, elementwise_affine=False)

    def begin(self, lanes: int) -> FastWeights:
        """Nothing written, in ``lanes`` lanes."""
        return FastWeights(self.decay_bias.new_zeros(lanes, self.width, self.rank))

    def forward(
        self, x: Tensor, state: FastWeights, resets: Tensor | None = None
    ) -> tuple[Tensor, FastWeights]:
        """Read further steps; one by one, in stretches of any lengths, or all at once, it finds the same.

        Args:
            x: the normalised stream, ``float[B, T, D]``.
            state: of the steps before.
            resets: where an episode begins, so that all before is forgotten, ``bool[B, T]``; nowhere by default.

        Returns:
            What is added to the stream, ``float[B, T, D]``, and the state after the last step.

        Raises:
            OptionError: if a shape or type is another.
        """
        expect_stretch(x, self.width, resets)
        expect("state", state.weights, (len(x), self.width, self.rank))
        if resets is None:
            resets = torch.zeros(x.shape[:2], dtype=torch.bool, device=x.device)
        found, weights = read(self._inputs(x, resets), state.weights)
        return self.out(self.norm(found)), FastWeights(weights)

    def _inputs(self, x: Tensor, resets: Tensor) -> Inputs:
        decay = torch.sigmoid(self.decay(x) + self.decay_bias).clamp(min=DECAY_FLOOR)
        return Inputs(self.query(x), self.key(x), self.value(x), decay, resets)
