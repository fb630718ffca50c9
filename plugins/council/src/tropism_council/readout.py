"""What of the council adapts within an episode: System 1's head, and the FiLM gains at the end of its last layer.

Both come after everything that is cached, so that an edit neither spoils a key or a value nor needs the stream to be read again:
a sample is what the last layer had made of a step before its gains.

Shapes: ``B`` lanes, ``S`` samples a lane, ``D`` width, ``V`` answers.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from tropism_council.blocks import Gain
from tropism_council.lookahead import Aims, Params, Sample

NAMES = ("head.weight", "head.bias", "gain.gamma", "gain.beta")


class Readout:
    """System 1 from the last gains on, with weights of its own in every lane.

    Args:
        gain: the last layer's, after its feed-forward.
        norm: of the backbone.
        head: of System 1.
    """

    def __init__(self, gain: Gain, norm: nn.Module, head: nn.Linear) -> None:
        self.gain, self.norm, self.head = gain, norm, head
        self.aims = Aims(self.loss, self.ties)

    @property
    def base(self) -> Params:
        """The weights that an episode begins with: the network's own."""
        return dict(
            zip(
                NAMES,
                (self.head.weight, self.head.bias, self.gain.gamma, self.gain.beta),
                strict=True,
            )
        )

    def log_probs(self, params: Params, before: Tensor, plasticity: Tensor) -> Tensor:
        """System 1's answers, ``float[B, S, V]``.

        Args:
            params: ``float[B, ...]`` each, by :data:`NAMES`.
            before: what the last layer has before its last gains, ``float[B, S, D]``.
            plasticity: ``float[B, S]``.
        """
        film = {name: params[f"gain.{name}"][:, None] for name in ("gamma", "beta")}
        latent = self.norm(functional_call(self.gain, film, (before, plasticity)))
        weight, bias = params["head.weight"].transpose(1, 2), params["head.bias"][:, None]
        return torch.log_softmax(torch.baddbmm(bias, latent, weight), -1)

    def loss(self, params: Params, sample: Sample) -> Tensor:
        """Surprise at the answers, ``float[B, S]``.

        Args:
            params: as in :meth:`log_probs`.
            sample: ``before`` and ``plasticity``; the answer ``int64[B, S]``; System 2's log-probabilities
                ``float[B, S, V]``; and whether it was asked, ``bool[B, S]``.
        """
        before, plasticity, answer, _, _ = sample
        said = self.log_probs(params, before, plasticity)
        return -said.gather(-1, answer[..., None])[..., 0]

    def ties(self, params: Params, teacher: Params, sample: Sample) -> Tensor:
        """Divergence of System 1 from its teacher and from System 2 where that was asked, ``float[B, S, 2]``, nats."""
        *seen, _, thought, asked = sample
        said = self.log_probs(params, *seen)
        with torch.no_grad():
            taught = self.log_probs(teacher, *seen)
        divergence = [_divergence(wanted, said) for wanted in (taught, thought)]
        return torch.stack([divergence[0], torch.where(asked, divergence[1], 0)], -1)

    def measure(self, params: Params, sample: Sample) -> Tensor:
        """Surprise and entropy over ``ln V``, ``float[B, S, 2]``, for the telemetry."""
        *seen, answer, _, _ = sample
        said = self.log_probs(params, *seen)
        entropy = -(said.exp() * said).sum(-1) / math.log(said.shape[-1])
        return torch.stack([-said.gather(-1, answer[..., None])[..., 0], entropy], -1)


def _divergence(wanted: Tensor, said: Tensor) -> Tensor:
    """Kullback-Leibler divergence of ``said`` from ``wanted``, both log-probabilities ``float[..., V]``."""
    return F.kl_div(said, wanted, reduction="none", log_target=True).sum(-1)
