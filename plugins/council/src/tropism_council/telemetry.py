"""What the agent measures of itself: four numbers a step as tokens, read by a small recurrent reader.

Tokens divide the range of a channel into :data:`BINS` equal bins, values beyond an end fall into the bin at that end::

    channel         value                                                        scale        range
    surprise        -log p of the last answer that was revealed, nats            linear       0 to 10
    entropy         of System 1's last answer, over ln V                         linear       0 to 1
    gradient_norm   of the last edit of weights (:mod:`tropism_council.editor`)  logarithmic  1e-4 to 100
    learning_rate   log10 of the scale by which that edit was applied            linear       -2 to log10(2)

From the tokens so far the reader makes a self-latent, and from that the *plasticity*, which modulates the layers, and a
guess of the next tokens (introspection).  Idea: the Omni-Zero seed (``000``), whose four numbers were partly constants, partly
saturated, and whose plasticity was never trained.

Shapes: ``B`` lanes, ``T`` steps, ``D`` width.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tropism.errors import OptionError

CHANNELS = ("surprise", "entropy", "gradient_norm", "learning_rate")
BINS = 32
LEAST_SCALE, MOST_SCALE = 0.01, 2.0
"""Range of the scale of the learning rate."""
LEAST_NORM = 1e-4

_LOW = torch.tensor(
    [0.0, 0.0, math.log10(LEAST_NORM), math.log10(LEAST_SCALE)], dtype=torch.float64
)
_HIGH = torch.tensor([10.0, 1.0, 2.0, math.log10(MOST_SCALE)], dtype=torch.float64)


def encode(values: Tensor) -> Tensor:
    """Tokens ``int64[..., 4]`` in ``[0, BINS)`` of values ``float[..., 4]`` in the order of :data:`CHANNELS`.

    Raises:
        OptionError: a value is not a number.
    """
    if values.shape[-1] != len(CHANNELS):
        raise OptionError(
            f"telemetry has the shape {tuple(values.shape)}, its last axis must hold {', '.join(CHANNELS)}"
        )
    if values.isnan().any():
        bad = [c for c, x in zip(CHANNELS, values.unbind(-1), strict=True) if x.isnan().any()]
        raise OptionError(
            f"telemetry {', '.join(bad)} is nan, every channel needs a number: look for the loss that diverged"
        )
    low, high = (end.to(values.device) for end in (_LOW, _HIGH))
    x = values.double()  # so that float32 and float64 agree about the bins' edges
    norm = x[..., 2:3].clamp(min=LEAST_NORM).log10()
    part = (torch.cat([x[..., :2], norm, x[..., 3:]], -1) - low) / (high - low)
    return (part.clamp(0, 1) * BINS).long().clamp(max=BINS - 1)


def decode(tokens: Tensor) -> Tensor:
    """The middles of the bins, ``float64[..., 4]``, whose tokens are these."""
    low, high = (end.to(tokens.device) for end in (_LOW, _HIGH))
    x = low + (tokens + 0.5) / BINS * (high - low)
    return torch.cat([x[..., :2], 10 ** x[..., 2:3], x[..., 3:]], -1)


class Telemetry(nn.Module):
    """Reader of tokens (Cho et al. 2014's gated recurrent unit, arXiv:1406.1078), and its heads.

    Args:
        width: ``D``.
    """

    CHANNELS, BINS = CHANNELS, BINS
    encode, decode = staticmethod(encode), staticmethod(decode)

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.embedding = nn.Embedding(len(CHANNELS) * BINS, width)
        nn.init.normal_(self.embedding.weight, std=0.5)
        self.reader = nn.GRU(width, width, batch_first=True)
        self.plastic = nn.Linear(width, 1)
        for parameter in self.plastic.parameters():
            nn.init.zeros_(parameter)  # so that training starts from layers that are not modulated
        self.guess = nn.Linear(width, len(CHANNELS) * BINS)

    def begin(self, lanes: int) -> Tensor:
        """The state of lanes that have read nothing, ``float[B, D]``."""
        return self.embedding.weight.new_zeros(lanes, self.width)

    def forward(self, tokens: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Read further steps, one by one or many at once.

        Args:
            tokens: ``int64[B, T, 4]`` in ``[0, BINS)``.
            state: from before, ``float[B, D]``.

        Returns:
            Self-latents ``float[B, T, D]`` in [-1, 1], each of the tokens up to its own; and the state after the last.
        """
        channel = torch.arange(len(CHANNELS), device=tokens.device) * BINS
        x = self.embedding(tokens + channel).sum(-2)
        latents, after = self.reader(x, state[None].contiguous())
        return latents, after[0]

    def plasticity(self, self_latent: Tensor) -> Tensor:
        """``float[...]`` in (-1, 1) of ``float[..., D]``; 0 before any training."""
        return torch.tanh(self.plastic(self_latent)[..., 0])

    def introspect(self, self_latent: Tensor) -> Tensor:
        """Logits of the next step's tokens, ``float[..., 4, BINS]`` of ``float[..., D]``."""
        return self.guess(self_latent).unflatten(-1, (len(CHANNELS), BINS))

    def introspection_loss(self, self_latent: Tensor, next_tokens: Tensor) -> Tensor:
        """Mean cross-entropy of those guesses, nats a channel.

        Args:
            self_latent: ``float[B, T, D]``.
            next_tokens: of the steps that follow each, ``int64[B, T, 4]``.
        """
        logits = self.introspect(self_latent).flatten(0, -2)
        return F.cross_entropy(logits, next_tokens.flatten())
