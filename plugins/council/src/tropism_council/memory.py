"""Executive memory: a ring of slots, one written a step by trained heads, that reaches further back than the stream.

System 1 writes what came of a situation: the key of a slot is made of the latent before, its value of the latent after (as in
neural episodic control, Pritzel et al. 2017, arXiv:1703.01988).  A situation is a latent as it differs from those of its episode
so far, in their standard deviations: of most latents much is the same.  System 2 reads while it thinks, by likeness to its own
situation, by what it has in mind, and by age, or nothing: an empty slot is always there to be attended to.  Gradients flow from a thought back into what earlier
steps of the same stretch have written.  Idea: the Omni-Zero seed (``000``), whose writer was never trained and whose ring held
one episode.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from tropism_council.blocks import NEVER, split_heads

LIKENESS = 8.0
"""Score of a situation that came before just so, before any training; e to this is more than most rings have slots."""
PRIOR = 0.01
"""Variance of the latents before any was seen, as if of one; without it the first ones would have none."""


class Ring(NamedTuple):
    """What ``B`` lanes have written.

    Attributes:
        slots: keys and values, ``float[B, P, 2D]``, oldest first, ``P <= M``.
        when: the step that wrote each, ``int64[B, P]``; ``NEVER`` where none did.
        last: the situation of the last step, ``float[B, D]``; zeros where there was none.
        sums: of latents, and of their squares, ``float64[B, 2, D]``.
        count: steps so far, ``int64[B]``.
    """

    slots: Tensor
    when: Tensor
    last: Tensor
    sums: Tensor
    count: Tensor  # pyright: ignore[reportIncompatibleMethodOverride]  nobody counts a tuple's parts

    def forget(self, mask: Tensor) -> Ring:
        """The same with nothing written in the lanes of ``bool[B]``."""
        when = self.when.masked_fill(mask[:, None], NEVER)
        last = self.last.masked_fill(mask[:, None], 0)
        sums, count = self.sums.masked_fill(mask[:, None, None], 0), self.count.masked_fill(mask, 0)
        return self._replace(when=when, last=last, sums=sums, count=count)

    def detach(self) -> Ring:
        """The same, through which no gradient flows."""
        return self._replace(slots=self.slots.detach(), last=self.last.detach())


class Written(NamedTuple):
    """All slots at hand.

    Attributes:
        slots: ``float[B, C, 2D]``.
        when: the step that wrote each, ``int64[B, C]``.
        now: situations of the steps that were just written, ``float[B, T, D]``.
    """

    slots: Tensor
    when: Tensor
    now: Tensor


class Memory(nn.Module):
    """Writer and reader of the ring.

    Args:
        width: ``D``.
        heads: of the reader.
        slots: ``M``; 0 writes and reads nothing.
    """

    def __init__(self, width: int, heads: int, slots: int) -> None:
        super().__init__()
        self.width, self.heads, self.size = width, heads, slots
        if not slots:
            return
        self.norm = nn.RMSNorm(width)
        self.situation = nn.Linear(width, width, bias=False)
        self.outcome = nn.Linear(width, width)
        self.nothing = nn.Parameter(torch.zeros(2 * width))
        self.query = nn.Linear(width, width, bias=False)
        self.likeness = nn.Parameter(torch.full((heads,), LIKENESS / (width // heads) ** 0.5))
        nn.init.orthogonal_(self.situation.weight)
        self.ageing = nn.Parameter(torch.zeros(heads))
        self.out = nn.Linear(width, width, bias=False)
        nn.init.zeros_(self.out.weight)

    def begin(self, lanes: int) -> Ring:
        """Nothing written."""
        return Ring(
            torch.zeros(lanes, 0, 2 * self.width),
            torch.zeros(lanes, 0, dtype=torch.int64),
            torch.zeros(lanes, self.width),
            torch.zeros(lanes, 2, self.width, dtype=torch.float64),
            torch.zeros(lanes, dtype=torch.int64),
        )

    def store(self, latents: Tensor, ring: Ring) -> tuple[Written, Ring]:
        """Write one slot for each of ``T`` further steps.

        Args:
            latents: of the steps, ``float[B, T, D]``.
            ring: of the steps before.

        Returns:
            All that is at hand, and the ring after the steps.
        """
        count = ring.count + latents.shape[1]
        if not self.size:
            return Written(ring.slots, ring.when, latents), ring._replace(count=count)
        steps = ring.count[:, None] + torch.arange(latents.shape[1], device=latents.device)
        now, sums = situations(latents, ring)
        before = torch.cat([ring.last[:, None], now[:, :-1]], 1)
        new = torch.cat([self.situation(before), self.outcome(latents)], -1)
        slots, when = torch.cat([ring.slots, new], 1), torch.cat([ring.when, steps], 1)
        kept = Ring(slots[:, -self.size :], when[:, -self.size :], now[:, -1], sums, count)
        return Written(slots, when, now), kept

    def recall(
        self, mind: Tensor, now: Tensor, step: Tensor, written: Written
    ) -> tuple[Tensor, Tensor]:
        """What minds find in the memory.

        Args:
            mind: ``float[B, R, D]``.
            now: the situation of each, ``float[B, R, D]``.
            step: of each, ``int64[B, R]``; it finds the ``M`` slots from before that step.
            written: all slots at hand.

        Returns:
            ``float[B, R, D]``, and the attention paid to what was written, ``float[B, R]`` in [0, 1].
        """
        if not self.size:
            return torch.zeros_like(mind), mind.new_zeros(mind.shape[:2])
        nothing = self.nothing.expand(len(mind), 1, -1)
        keys, values = split_heads(torch.cat([nothing, written.slots], 1), 2, self.heads)
        (query,) = split_heads(self.query(self.norm(mind)), 1, self.heads)
        (alike,) = split_heads(self.situation(now), 1, self.heads)
        query = query + self.likeness[:, None, None] * alike
        scores = query @ keys.transpose(-1, -2) / query.shape[-1] ** 0.5
        bias = self._forgetting(step[:, :, None] - written.when[:, None])
        weights = torch.softmax(torch.cat([scores[..., :1], scores[..., 1:] + bias], -1), -1)
        mixed = (weights @ values).transpose(1, 2).flatten(2)
        return self.out(mixed), 1 - weights[..., 0].mean(1)

    def _forgetting(self, age: Tensor) -> Tensor:
        """What is added to the scores of slots of an age (``int64[B, R, C]``), ``float[B, H, R, C]``."""
        hidden = (age < 1) | (age > self.size)
        old = torch.log(age.clamp(1, self.size).to(self.ageing.dtype))
        bias = -self.ageing[:, None, None] * old[:, None]
        return bias.masked_fill(hidden[:, None], -torch.inf)


def situations(latents: Tensor, ring: Ring) -> tuple[Tensor, Tensor]:
    """Latents ``float[B, T, D]`` in standard deviations from their mean in the episode so far, and the ring's sums after them."""
    x = latents.double()
    sums = ring.sums[:, None] + torch.stack([x, x.square()], 2).detach().cumsum(1)
    count = ring.count[:, None, None] + torch.arange(1, x.shape[1] + 1)[:, None]
    mean = sums[:, :, 0] / count
    apart = (sums[:, :, 1] - count * mean.square()).clamp(min=0)
    deviation = ((apart + PRIOR) / (count + 1)).sqrt()
    return ((x - mean) / deviation).to(latents.dtype), sums[:, -1]
