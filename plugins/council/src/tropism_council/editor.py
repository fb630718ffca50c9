"""The editor: how far, and in whose favour, the weights that adapt within an episode are to be moved next.

It reads the self-latent of the telemetry and names a mean and a spread of three numbers: the scale of the learning rate, and
the weights of two losses beside the agent's own.  The conservative proposal is the mean less the spread, the aggressive one
the mean and the spread.  Both are tried one step ahead (:mod:`tropism_council.online`), and the editor learns from the loss
that each then has on an answer that it could not know.  Idea: the Omni-Zero seed (``000``), whose editor had no gradient and
whose scale was undone by Adam.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tropism_council.telemetry import LEAST_SCALE, MOST_SCALE

LEAST_WEIGHT, MOST_WEIGHT = 0.1, 2.1
"""Range of the weights of the losses."""
NUMBERS = 3
CANDIDATES = ("unedited", "conservative", "aggressive")


class Settings(NamedTuple):
    """What is proposed to ``B`` lanes; first the conservative proposal, then the aggressive one.

    Attributes:
        scale: of the learning rate, ``float[2, B]`` in [.01, 2]; it multiplies the update that the optimiser has made.
        weights: of the losses of the teacher and of System 2, ``float[2, B, 2]`` in [.1, 2.1].
    """

    scale: Tensor
    weights: Tensor

    @classmethod
    def fixed(cls, lanes: int, scale: float = 1.0, weight: float = LEAST_WEIGHT) -> Settings:
        """The same for both proposals in every lane: an editor that does not edit."""
        return cls(torch.full((2, lanes), scale), torch.full((2, lanes, 2), weight))


class Editor(nn.Module):
    """Two layers from a self-latent to :class:`Settings`; before any training the scales are about 1.

    Args:
        width: of the self-latent, ``D``.
        hidden: units between.
    """

    def __init__(self, width: int, hidden: int = 32) -> None:
        super().__init__()
        last = nn.Linear(hidden, 2 * NUMBERS)
        with torch.no_grad():
            last.bias.zero_()
            last.bias[0] = _where_scale_is(1.0)
        self.net = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), last)

    def forward(self, self_latent: Tensor) -> Settings:
        """Both proposals for lanes of ``float[B, D]``."""
        mean, spread = self.net(self_latent).chunk(2, -1)
        spread = F.softplus(spread)
        part = torch.sigmoid(torch.stack([mean - spread, mean + spread]))
        scale = LEAST_SCALE * (MOST_SCALE / LEAST_SCALE) ** part[..., 0]
        return Settings(scale, LEAST_WEIGHT + (MOST_WEIGHT - LEAST_WEIGHT) * part[..., 1:])


def _where_scale_is(scale: float) -> float:
    """What the last layer must give for this scale."""
    part = math.log(scale / LEAST_SCALE) / math.log(MOST_SCALE / LEAST_SCALE)
    return math.log(part / (1 - part))
