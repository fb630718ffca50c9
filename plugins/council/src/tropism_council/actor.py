"""A network that acts: the backbone, council and gate of the package behind an entrance for plain numbers.

An environment step is one position of the stream: the observation, the action before it and what that was paid, added up.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from tropism_council.backbone import Backbone, Stream
from tropism_council.blocks import Cache
from tropism_council.choices import IMPOSSIBLE, Choices
from tropism_council.config import CouncilConfig
from tropism_council.council import Asked, Council, Thought
from tropism_council.encoders import CLIP, Encoder, Running
from tropism_council.gate import Gate
from tropism_council.memory import Ring
from tropism_council.network import Read


class Seen(NamedTuple):
    """What is read at ``T`` steps.

    Attributes:
        observation: normalised, ``float[B, T, n]``.
        action: the options taken before, ``int64[B, T, F]``; ``V`` at the first step of an episode.
        reward: what was paid for them, ``float[B, T]``.
    """

    observation: Tensor
    action: Tensor
    reward: Tensor


class Held(NamedTuple):
    """What a lane carries from step to step."""

    stream: Stream
    ring: Ring

    def forget(self, mask: Tensor) -> Held:
        """The same with nothing seen in the lanes of ``bool[B]``, and no room kept for what no lane remembers."""
        stream, ring = self.stream.forget(mask), self.ring.forget(mask)
        first, oldest = _empty_columns(stream.where), _empty_columns(ring.when)
        caches = tuple(Cache(*(x[:, :, first:] for x in cache)) for cache in stream.caches)
        return Held(
            Stream(caches, stream.latents[:, first:], stream.where[:, first:], stream.count),
            Ring(ring.slots[:, oldest:], ring.when[:, oldest:], *ring[2:]),
        )

    def take(self, rows: Tensor) -> Held:
        """Those of some lanes, ``int64[R]``."""
        stream, ring = self.stream, self.ring
        caches = tuple(Cache(*(x[rows] for x in cache)) for cache in stream.caches)
        return Held(Stream(caches, *(x[rows] for x in stream[1:])), Ring(*(x[rows] for x in ring)))


class Head(nn.Module):
    """Logits of all options in a row, ``float[..., F * V]`` of ``float[..., D]``."""

    legal: Tensor

    def __init__(self, width: int, legal: Tensor) -> None:
        super().__init__()
        self.linear = nn.Linear(width, legal.numel())
        nn.init.normal_(self.linear.weight, std=0.01 / width**0.5)  # begins by trying everything
        nn.init.zeros_(self.linear.bias)
        self.register_buffer("legal", legal.flatten(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Logits; of options that do not exist, hardly any."""
        return self.linear(x).masked_fill(~self.legal, IMPOSSIBLE)


class Actor(nn.Module):
    """Both systems, for one pair of spaces.

    Args:
        encoder: of the observations.
        choices: of the actions.
        config: of the agent.
    """

    typical: Tensor
    draws: Tensor

    def __init__(self, encoder: Encoder, choices: Choices, config: CouncilConfig) -> None:
        super().__init__()
        width, heads, window = config.width, config.heads, config.window
        self.shape = choices.count, choices.width
        self.normal = Running(encoder.measured)
        self.returns = Running(np.ones(1, np.bool_))
        self.register_buffer("typical", torch.ones(()))  # absolute error of the value's foresight
        self.register_buffer("draws", torch.tensor(True))  # at play; else takes what is likeliest
        self.enter = nn.Linear(encoder.size, width)
        self.done = nn.Embedding(choices.count * (choices.width + 1), width)
        nn.init.normal_(self.done.weight, std=0.5 / choices.count**0.5)
        self.paid = nn.Linear(1, width)
        self.backbone = Backbone(width, config.layers, heads, window)
        self.council = Council(
            width,
            heads,
            window,
            config.voices,
            config.ponder_steps,
            config.slots,
            config.patience,
        )
        self.head, self.value = Head(width, choices.legal), nn.Linear(width, 1)
        self.gate = Gate(config.signals, config.optimism)

    def begin(self, lanes: int) -> Held:
        """Nothing seen yet."""
        return Held(self.backbone.begin(lanes), self.council.memory.begin(lanes))

    def scaled(self, reward: Tensor) -> Tensor:
        """Rewards by the deviation of what they add up to, so that values are about 1 in size."""
        return (reward / self.returns.deviation).float().clamp(-CLIP, CLIP)

    def embed(self, seen: Seen) -> Tensor:
        """Positions of the stream, ``float[B, T, D]``."""
        factors, options = self.shape
        action = self.done(seen.action + torch.arange(factors) * (options + 1)).sum(-2)
        paid = torch.sign(seen.reward) * torch.log1p(seen.reward.abs())
        return self.enter(seen.observation) + action + self.paid(paid[..., None])

    def read(self, seen: Seen, new: Tensor, held: Held) -> tuple[Read, Held]:
        """Take further steps in.

        Args:
            seen: at ``T`` steps.
            new: which of them exist, ``bool[B, T]``, those that do first.
            held: from before.
        """
        x = self.embed(seen)
        none = torch.zeros(x.shape[:2])  # without plasticity: nothing is edited here
        latents, context, stream, before = self.backbone(x, none, held.stream, new)
        at = context.where[:, -x.shape[1] :]
        written, ring = self.council.memory.store(latents, held.ring)
        step = held.ring.count[:, None] + torch.arange(x.shape[1])
        read = Read(latents, at, step, context, written, before, none)
        return read, Held(stream, ring)

    def reflex(self, latents: Tensor) -> Tensor:
        """System 1: log-probabilities ``float[..., F, V]`` of latents ``float[..., D]``."""
        return torch.log_softmax(self.head(latents).unflatten(-1, self.shape), -1)

    def worth(self, latents: Tensor) -> Tensor:
        """Scaled rewards that are to come, ``float[...]`` of ``float[..., D]``."""
        return self.value(latents)[..., 0]

    def think(self, read: Read, chosen: Tensor) -> Thought:
        """System 2 about some of the steps that were read, ``int64[B, Q]``.

        Its log-probabilities have a choice and an option as their last axes, ``[..., F, V]``.
        """
        lanes = torch.arange(len(chosen))[:, None]
        asked = Asked(
            *(x[lanes, chosen] for x in (read.latents, read.written.now, read.at, read.step))
        )
        thought = self.council(asked, read.context, read.written, self.head)
        # the council has normalised all options of all choices together: the options of each choice are once more
        voices = torch.log_softmax(thought.voices.unflatten(-1, self.shape), -1)
        weights = (thought.weights + 1e-12).log()[..., None, None]
        fused = torch.logsumexp(weights + voices, -3)
        return thought._replace(log_probs=torch.log_softmax(fused, -1), voices=voices)


def expected(thought: Thought) -> Tensor:
    """What the council says if it halts by chance: ``float[B, Q, F, V]``."""
    halting = (thought.halting() + 1e-9).log()[..., None, None]
    return torch.log_softmax(torch.logsumexp(halting + thought.log_probs, 0), -1)


def _empty_columns(when: Tensor) -> int:
    """How many columns on the left hold nothing in any lane of ``int64[B, P]``."""
    return int((when >= 0).any(0).int().cumsum(0).eq(0).sum())
