"""System 2: several voices ponder, step by step, and an arbiter fuses what they say.

Each voice starts from the latent of the present, moved by a persona of its own, and runs the same block again and again: it
reads the stream and the memory with whatever it has in mind, and thinks.  How long is learned (PonderNet, Banino et al. 2021,
arXiv:2107.05407): after every step the council halts with some probability, and its loss is that of the halting distribution
(:func:`ponder_loss`).

Shapes: ``Q`` questions a lane, ``C`` positions of context, ``K`` voices, ``N`` steps, ``V`` answers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tropism_council.backbone import Context, within
from tropism_council.blocks import ages, feed_forward, recency, rotate, split_heads, turns
from tropism_council.memory import Memory, Written

PATIENCE = -2.0
"""Log-odds of halting before any training: every step must be tried, or the first takes all."""


class Thought(NamedTuple):
    """What the council has thought, step by step.

    Attributes:
        log_probs: of the arbiter, ``float[N, B, Q, V]``.
        halt: probability of halting at each step if it was not done before, ``float[N, B, Q]``; the last is 1.
        voices: log-probabilities of each voice, ``float[N, B, Q, K, V]``.
        weights: of the voices, ``float[N, B, Q, K]``.
        minds: what the voices have in mind, ``float[N, B, Q, K, D]``.
        recalled: attention paid to the memory, ``float[N, B, Q]`` in [0, 1].
        enough: chance of having halted at which it stops where nothing says how much is at stake.
    """

    log_probs: Tensor
    halt: Tensor
    voices: Tensor
    weights: Tensor
    minds: Tensor
    recalled: Tensor
    enough: float

    def halting(self) -> Tensor:
        """Probability of halting at each step, ``float[N, B, Q]``; sums to 1 over the steps."""
        going = torch.cumprod(1 - self.halt, 0)
        return self.halt * torch.cat([torch.ones_like(going[:1]), going[:-1]])

    def steps(self, patience: Tensor | float | None = None) -> Tensor:
        """The first step by which it has halted with this chance (``float[B, Q]`` or one for all), ``int64[B, Q]``, from 1 on."""
        patience = self.enough if patience is None else patience
        return (self.halting().cumsum(0) < patience - 1e-6).sum(0) + 1


class Asked(NamedTuple):
    """Questions to the council.

    Attributes:
        latents: of System 1, ``float[B, Q, D]``.
        now: as situations that the memory may know, ``float[B, Q, D]``.
        at: their positions in the stream, ``int64[B, Q]``.
        step: their steps in the episode, ``int64[B, Q]``.
    """

    latents: Tensor
    now: Tensor
    at: Tensor
    step: Tensor


class Council(nn.Module):
    """Voices over a context.

    Args:
        width: ``D``.
        heads: of the attention.
        window: positions that a question sees, its own included.
        voices: ``K``.
        steps: most steps, ``N``.
        slots: of the memory.
        enough: chance of having halted at which it stops by default.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        window: int,
        voices: int,
        steps: int,
        slots: int,
        enough: float,
    ) -> None:
        super().__init__()
        self.memory = Memory(width, heads, slots)
        self.heads, self.window, self.max_steps, self.enough = heads, window, steps, enough
        self.personas = nn.Parameter(torch.randn(voices, width) * 0.1)
        self.norm, self.norm_feed, self.norm_out = (nn.RMSNorm(width) for _ in range(3))
        self.query = nn.Linear(width, width, bias=False)
        self.context = nn.Linear(width, 2 * width, bias=False)
        self.recency = recency(heads)
        self.out = nn.Linear(width, width, bias=False)
        self.feed = feed_forward(width)
        self.halt = nn.Linear(width, 1)
        nn.init.constant_(self.halt.bias, PATIENCE)
        for last in (self.out, self.feed[-1]):
            nn.init.zeros_(last.weight)  # type: ignore[arg-type]  a council that knows no better says what System 1 says
        self.ask = nn.Linear(width, width, bias=False)
        self.offer = nn.Linear(width, width, bias=False)

    def forward(self, asked: Asked, context: Context, written: Written, head: nn.Module) -> Thought:
        """Think.

        Args:
            asked: the questions.
            context: of the stream, of which a question sees the last ``window`` positions.
            written: slots of the memory.
            head: turns a mind ``[..., D]`` into logits ``[..., V]``.
        """
        voices = self.personas.shape[0]
        look = self._reader(asked.at, context)
        now, step = (x.repeat_interleave(voices, 1) for x in (asked.now, asked.step))
        mind = asked.latents[:, :, None] + self.personas  # [B, Q, K, D]
        found = []
        for _ in range(self.max_steps):
            flat = self.norm(mind).flatten(1, 2)
            recalled, used = self.memory.recall(flat, now, step, written)
            mind = mind + (look(flat) + recalled).view(mind.shape)
            mind = mind + self.feed(self.norm_feed(mind))
            found.append((*self._speak(mind, head), used.view(mind.shape[:3]).mean(2)))
        log_probs, halt, said, weights, minds, recalled = (
            torch.stack(part) for part in zip(*found, strict=True)
        )
        halt = torch.cat([halt[:-1], torch.ones_like(halt[-1:])])
        return Thought(log_probs, halt, said, weights, minds, recalled, self.enough)

    def _reader(self, at: Tensor, context: Context) -> Callable[[Tensor], Tensor]:
        """What minds ``[B, Q * K, D]`` at positions ``int64[B, Q]`` read in the stream, as a function of them."""
        voices = self.personas.shape[0]
        keys, values = split_heads(self.context(context.latents), 2, self.heads)
        size, dtype = keys.shape[-1], keys.dtype
        keys = rotate(keys, turns(context.where.clamp(min=0), size, dtype))
        keys = _with(keys, -ages(context.where)[:, None])
        scale = (values.shape[-1] + 1) ** 0.5  # undoes the scaling of scores
        fade = self.recency[None, :, None] * scale
        mask = within(at, context.where, self.window)[:, None].repeat_interleave(voices, 2)
        turn = turns(at.repeat_interleave(voices, 1), size, dtype)

        def look(mind: Tensor) -> Tensor:
            (query,) = split_heads(self.query(mind), 1, self.heads)
            query = _with(rotate(query, turn), fade)
            read = F.scaled_dot_product_attention(query, keys, values, mask)
            return self.out(read.transpose(1, 2).flatten(2))

        return look

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


def _with(x: Tensor, channel: Tensor) -> Tensor:
    """``float[B, H, S, d]`` with one more channel, ``float`` that broadcasts to ``[B, H, S]``."""
    return torch.cat([x, channel.expand(x.shape[:-1])[..., None]], -1)


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


def ponder_loss(thought: Thought, said: Tensor, kind: str) -> Tensor:
    """What the council lowers where answers are known, ``float[B, Q]``, nats.

    Args:
        thought: of the council.
        said: negative log-likelihood of the right answer at each step, ``float[N, B, Q]``.
        kind: ``expectation``: the mean over the chance to halt at each step (PonderNet); a step that will often be the last has to
            answer everything, and where half of the questions have a short way, the long one may never be found.
            ``likelihood``: that of the mixture of all steps, so that each step answers for what it knows better than others, as
            experts of a mixture do (Jacobs et al. 1991, doi:10.1162/neco.1991.3.1.79).
    """
    if kind == "likelihood":
        return -torch.logsumexp((thought.halting() + 1e-9).log() - said, 0)
    return (thought.halting() * said).sum(0)


def ponder_cost(thought: Thought, prior: float) -> Tensor:
    """Kullback-Leibler divergence of the halting distribution from a truncated geometric one, ``float[B, Q]``, nats."""
    halting = thought.halting()
    steps = torch.arange(len(halting), device=halting.device, dtype=halting.dtype)
    wanted = prior * (1 - prior) ** steps
    wanted = (wanted / wanted.sum())[:, None, None]
    return (halting * ((halting + 1e-9).log() - wanted.log())).sum(0)
