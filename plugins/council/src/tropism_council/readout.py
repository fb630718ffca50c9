"""What of the council adapts within an episode: System 1's head, and the FiLM gains at the end of its last layer.

Both come after everything that is cached, so that an edit neither spoils a key or a value nor needs the stream to be read again:
a sample is what the last layer had made of a step before its gains.

Shapes: ``B`` lanes, ``S`` samples a lane, ``D`` width, ``V`` answers.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tropism_council.blocks import Gain, film
from tropism_council.lookahead import Aims, Params, Sample

NAMES = ("head.weight", "head.bias", "gain.gamma", "gain.beta")


class Readout:
    """System 1 from the last gains on, with weights of its own in every lane.

    Args:
        gain: the last layer's, after its feed-forward.
        norm: of the backbone.
        head: of System 1.
    """

    def __init__(self, gain: Gain, norm: nn.RMSNorm, head: nn.Linear) -> None:
        self.gain, self.norm, self.head = gain, norm, head
        self.aims = Aims(self.loss, self.ties)

    @property
    def base(self) -> Params:
        """The weights that an episode begins with: the network's own."""
        modules = {"head": self.head, "gain": self.gain}
        return {name: _whole(modules[name[:4]], name[5:]) for name in NAMES}

    def log_probs(self, params: Params, before: Tensor, plasticity: Tensor) -> Tensor:
        """System 1's answers, ``float[B, S, V]``.

        Args:
            params: ``float[B, ...]`` each, by :data:`NAMES`.
            before: what the last layer has before its last gains, ``float[B, S, D]``.
            plasticity: ``float[B, S]``.
        """
        gamma, beta = (params[f"gain.{name}"][:, None] for name in ("gamma", "beta"))
        scale = self.norm.weight.detach()  # no edit moves it, nor does what an editor learns
        latent = film(before, plasticity, gamma, beta)
        latent = F.rms_norm(latent, scale.shape, scale, self.norm.eps)
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


def _whole(module: nn.Module, name: str) -> Tensor:
    """A parameter, all of it if its parts are held by the processes of a mesh."""
    parts: Any = getattr(module, "parametrizations", None)
    return getattr(module, name) if parts is None else parts[name].original.full_tensor()


def _divergence(wanted: Tensor, said: Tensor) -> Tensor:
    """Kullback-Leibler divergence of ``said`` from ``wanted``, both log-probabilities ``float[..., V]``."""
    return F.kl_div(said, wanted, reduction="none", log_target=True).sum(-1)
