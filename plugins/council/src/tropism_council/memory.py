"""Executive memory: a ring of slots, one written a step by a trained head, that reaches further back than the stream.

System 1 writes; System 2 reads while it thinks, by content and by age, or nothing: an empty slot is always there to be
attended to.  Gradients flow from a thought back into what earlier steps of the same stretch have written.  Idea: the Omni-Zero
seed (``000``), whose writer was never trained and whose ring held one episode.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from tropism_council.blocks import NEVER, split_heads


class Ring(NamedTuple):
    """What ``B`` lanes have written.

    Attributes:
        slots: ``float[B, P, D]``, oldest first, ``P <= M``.
        when: the step that wrote each, ``int64[B, P]``; ``NEVER`` where none did.
        count: steps so far, ``int64[B]``.
    """

    slots: Tensor
    when: Tensor
    count: Tensor  # pyright: ignore[reportIncompatibleMethodOverride]  nobody counts a tuple's parts

    def forget(self, mask: Tensor) -> Ring:
        """The same with nothing written in the lanes of ``bool[B]``."""
        when = self.when.masked_fill(mask[:, None], NEVER)
        return self._replace(when=when, count=self.count.masked_fill(mask, 0))

    def detach(self) -> Ring:
        """The same, through which no gradient flows."""
        return self._replace(slots=self.slots.detach())


class Written(NamedTuple):
    """All slots at hand: ``float[B, C, D]``, and the step that wrote each, ``int64[B, C]``."""

    slots: Tensor
    when: Tensor


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
        self.write = nn.Linear(width, width)
        self.nothing = nn.Parameter(torch.zeros(width))
        self.query = nn.Linear(width, width, bias=False)
        self.read = nn.Linear(width, 2 * width, bias=False)
        self.ageing = nn.Parameter(torch.zeros(heads))
        self.out = nn.Linear(width, width, bias=False)
        nn.init.zeros_(self.out.weight)

    def begin(self, lanes: int) -> Ring:
        """Nothing written."""
        return Ring(
            torch.zeros(lanes, 0, self.width),
            torch.zeros(lanes, 0, dtype=torch.int64),
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
            return Written(ring.slots, ring.when), ring._replace(count=count)
        steps = ring.count[:, None] + torch.arange(latents.shape[1], device=latents.device)
        slots = torch.cat([ring.slots, self.write(latents)], 1)
        when = torch.cat([ring.when, steps], 1)
        kept = Ring(slots[:, -self.size :], when[:, -self.size :], count)
        return Written(slots, when), kept

    def recall(self, mind: Tensor, step: Tensor, written: Written) -> tuple[Tensor, Tensor]:
        """What minds find in the memory.

        Args:
            mind: ``float[B, R, D]``.
            step: of each, ``int64[B, R]``; it finds the ``M`` slots from before that step.
            written: all slots at hand.

        Returns:
            ``float[B, R, D]``, and the attention paid to what was written, ``float[B, R]`` in [0, 1].
        """
        if not self.size:
            return torch.zeros_like(mind), mind.new_zeros(mind.shape[:2])
        nothing = self.nothing.expand(len(mind), 1, -1)
        keys, values = split_heads(self.read(torch.cat([nothing, written.slots], 1)), 2, self.heads)
        (query,) = split_heads(self.query(self.norm(mind)), 1, self.heads)
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
