"""System 2: several voices ponder, step by step, and an arbiter fuses what they say.

Each voice starts from the latent of the present, moved by a persona of its own, and runs the same block again and again: it
reads the stream and the memory with whatever it has in mind, and thinks.  How long is learned (PonderNet, Banino et al. 2021,
arXiv:2107.05407): after every step the council halts with some probability, and the loss is that of the halting distribution.

Shapes: ``Q`` questions a lane, ``C`` positions of context, ``K`` voices, ``N`` steps, ``V`` answers.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from tropism_council.blocks import feed_forward


class Thought(NamedTuple):
    """What the council has thought, step by step.

    Attributes:
        log_probs: of the arbiter, ``float[N, B, Q, V]``.
        halt: probability of halting at each step if it was not done before, ``float[N, B, Q]``; the last is 1.
        voices: log-probabilities of each voice, ``float[N, B, Q, K, V]``.
        weights: of the voices, ``float[N, B, Q, K]``.
        minds: what the voices have in mind, ``float[N, B, Q, K, D]``.
    """

    log_probs: Tensor
    halt: Tensor
    voices: Tensor
    weights: Tensor
    minds: Tensor

    def halting(self) -> Tensor:
        """Probability of halting at each step, ``float[N, B, Q]``; sums to 1 over the steps."""
        going = torch.cumprod(1 - self.halt, 0)
        return self.halt * torch.cat([torch.ones_like(going[:1]), going[:-1]])

    def steps(self) -> Tensor:
        """The step at which it is more likely than not to have halted, ``int64[B, Q]``, from 1 on."""
        return (self.halting().cumsum(0) < 0.5 - 1e-6).sum(0) + 1


class Council(nn.Module):
    """Voices over a context.

    Args:
        width: ``D``.
        heads: of the attention.
        voices: ``K``.
        steps: most steps, ``N``.
    """

    def __init__(self, width: int, heads: int, voices: int, steps: int) -> None:
        super().__init__()
        self.heads, self.max_steps = heads, steps
        self.personas = nn.Parameter(torch.randn(voices, width) * 0.5)
        self.norm, self.norm_feed, self.norm_out = (nn.RMSNorm(width) for _ in range(3))
        self.query = nn.Linear(width, width, bias=False)
        self.context = nn.Linear(width, 2 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.feed = feed_forward(width)
        self.halt = nn.Linear(width, 1)
        self.ask = nn.Linear(width, width, bias=False)
        self.offer = nn.Linear(width, width, bias=False)

    def forward(
        self,
        start: Tensor,
        context: Tensor,
        visible: Tensor,
        head: nn.Module,
        steps: int | None = None,
    ) -> Thought:
        """Think.

        Args:
            start: latents of the questions, ``float[B, Q, D]``.
            context: ``float[B, C, D]``.
            visible: what each question may read, ``bool[B, Q, C]``.
            head: turns a mind ``[..., D]`` into logits ``[..., V]``.
            steps: how many, if not the most.
        """
        keys, values = self._split(self.context(context), 2)
        voices = self.personas.shape[0]
        mask = visible[:, None].repeat_interleave(voices, 2)  # [B, 1, Q * K, C]
        mind = start[:, :, None] + self.personas  # [B, Q, K, D]
        found = []
        for _ in range(steps or self.max_steps):
            mind = self._think(mind, keys, values, mask)
            found.append(self._speak(mind, head))
        log_probs, halt, said, weights, minds = (
            torch.stack(part) for part in zip(*found, strict=True)
        )
        halt = torch.cat([halt[:-1], torch.ones_like(halt[-1:])])
        return Thought(log_probs, halt, said, weights, minds)

    def _think(self, mind: Tensor, keys: Tensor, values: Tensor, mask: Tensor) -> Tensor:
        """One step of every voice."""
        b, q, k, d = mind.shape
        (asked,) = self._split(self.query(self.norm(mind)).view(b, q * k, d), 1)
        scores = asked @ keys.transpose(-1, -2) / asked.shape[-1] ** 0.5
        read = torch.softmax(scores.masked_fill(~mask, -torch.inf), -1) @ values
        mind = mind + self.out(read.transpose(1, 2).reshape(b, q, k, d))
        return mind + self.feed(self.norm_feed(mind))

    def _speak(self, mind: Tensor, head: nn.Module) -> tuple[Tensor, ...]:
        """What the voices say, what the arbiter makes of it, and whether that is enough."""
        mind = self.norm_out(mind)
        together = mind.mean(2)
        scores = (self.offer(mind) @ self.ask(together)[..., None])[..., 0] / mind.shape[-1] ** 0.5
        weights = torch.log_softmax(scores, -1)
        said = torch.log_softmax(head(mind), -1)
        fused = torch.logsumexp(weights[..., None] + said, 2)
        halt = torch.sigmoid(self.halt(together)[..., 0])
        return fused, halt, said, weights.exp(), mind

    def _split(self, x: Tensor, parts: int) -> tuple[Tensor, ...]:
        """``float[B, C, parts * D]`` as ``parts`` of ``float[B, heads, C, d]``."""
        b, c, _ = x.shape
        return x.view(b, c, parts, self.heads, -1).permute(2, 0, 3, 1, 4).unbind(0)


def coherence(voices: Tensor) -> Tensor:
    """How far voices agree: one minus their Jensen-Shannon divergence over its maximum.

    Args:
        voices: log-probabilities, ``float[..., K, V]``.

    Returns:
        ``float[...]`` in [0, 1]: 1 where all say the same, 0 where each is certain of an answer of its own; 1 for one voice.
    """
    count = voices.shape[-2]
    if count == 1:
        return torch.ones_like(voices[..., 0, 0])
    mean = torch.logsumexp(voices, -2) - math.log(count)
    apart = (voices.exp() * (voices - mean[..., None, :])).sum(-1).mean(-1)
    return (1 - apart / math.log(min(count, voices.shape[-1]))).clamp(0, 1)


def ponder_cost(thought: Thought, prior: float) -> Tensor:
    """Kullback-Leibler divergence of the halting distribution from a truncated geometric one, ``float[B, Q]``, nats."""
    halting = thought.halting()
    steps = torch.arange(len(halting), device=halting.device, dtype=halting.dtype)
    wanted = prior * (1 - prior) ** steps
    wanted = (wanted / wanted.sum())[:, None, None]
    return (halting * ((halting + 1e-9).log() - wanted.log())).sum(0)
