"""What was played, to be learned from: stretches of all lanes, and the rows that an update reads again."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from tropism_council.acting import DISCOUNT
from tropism_council.actor import Held, Seen

TRACE = 0.95
"""The lambda of generalised advantages."""


class Stretch(NamedTuple):
    """Some steps of all lanes.

    Attributes:
        seen: what was read.
        first: where episodes began, ``bool[B, T]``.
        options: taken, ``int64[B, T, F]``.
        thinks: whether System 2 took them, ``bool[B, T]``.
        log_probs: of the options by the system that took them, ``float[B, T]``.
        reflexes: and by System 1, ``float[B, T]``.
        known: what the gate saw, ``float[B, T, 5]``.
        values: that System 1 foresaw, ``float[B, T]``.
        rewards: scaled, ``float[B, T]``.
        ends: episodes that ended with the step, ``bool[B, T]``.
        beyond: what was foreseen where an episode was cut off, ``float[B, T]``; 0 elsewhere.
        last: what is foreseen after the last step, ``float[B]``.
        held: what the lanes carried into the first step.
    """

    seen: Seen
    first: Tensor
    options: Tensor
    thinks: Tensor
    log_probs: Tensor
    reflexes: Tensor
    known: Tensor
    values: Tensor
    rewards: Tensor
    ends: Tensor
    beyond: Tensor
    last: Tensor
    held: Held

    def advantages(self) -> Tensor:
        """Generalised advantages (Schulman et al. 2016, arXiv:1506.02438), ``float[B, T]``."""
        after, total, found = self.last, torch.zeros_like(self.last), []
        columns = zip(
            *(x.unbind(1) for x in (self.rewards, self.values, self.ends, self.beyond)), strict=True
        )
        for reward, value, ends, beyond in reversed(list(columns)):
            after = torch.where(ends, beyond, after)
            total = reward + DISCOUNT * after - value + DISCOUNT * TRACE * total * ~ends
            found.append(total)
            after = value
        return torch.stack(found[::-1], 1)

    def rows(self) -> Rows:
        """The same cut where episodes begin."""
        starts = self.first.clone()
        starts[:, 0] = True
        lane, begin = starts.nonzero().unbind(1)
        steps = self.first.shape[1]
        ends = torch.cat([lane * steps + begin, torch.tensor([starts.numel()])])
        length = ends.diff()
        column = torch.arange(int(length.max()))
        new = column < length[:, None]
        step = (begin[:, None] + column).clamp(max=steps - 1)
        return Rows(lane, step, new, self.first[lane, begin])


class Rows(NamedTuple):
    """Parts of a stretch that lie within an episode; ``R`` of them, ``W`` steps the longest.

    Attributes:
        lane: of each, ``int64[R]``.
        step: of the stretch, ``int64[R, W]``.
        new: which of them exist, ``bool[R, W]``.
        fresh: begin with an episode, ``bool[R]``.
    """

    lane: Tensor
    step: Tensor
    new: Tensor
    fresh: Tensor

    def some(self, which: Tensor) -> Rows:
        """Some of them, no wider than need be."""
        new = self.new[which]
        width = int(new.sum(1).max())
        return Rows(self.lane[which], self.step[which, :width], new[:, :width], self.fresh[which])

    def of(self, x: Tensor) -> Tensor:
        """``[B, T, ...]`` as ``[R, W, ...]``."""
        return x[self.lane[:, None], self.step]


class Step(NamedTuple):
    """A step of all lanes, or a stretch of them; fields as of :class:`Seen` and :class:`Stretch`, but ``paid``, ``float[B]``."""

    observation: Tensor
    action: Tensor
    reward: Tensor
    first: Tensor
    options: Tensor
    thinks: Tensor
    log_probs: Tensor
    reflexes: Tensor
    known: Tensor
    values: Tensor
    paid: Tensor
    ends: Tensor
    beyond: Tensor
