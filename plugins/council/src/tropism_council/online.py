"""Learning within an episode: every lane edits its own copy of a few weights, and keeps an edit only if the next answer agrees.

An edit takes two answers.  After the first, two updates are computed from the last few samples, and held back (:meth:`propose`).
When the next answer is revealed both are tried on it, beside the weights as they are; whichever loses least goes on, so that an
update that would have made things worse is rolled back with all that Adam has counted (:meth:`judge`).  A slow average of the
weights is the teacher they are held to.

Shapes: ``B`` lanes, ``P`` numbers in a lane's weights, ``S`` samples kept a lane.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from tropism_council.editor import Settings
from tropism_council.lookahead import (
    Aims,
    Layout,
    Moments,
    Params,
    Proposal,
    Sample,
    adam,
    gradients,
)
from tropism_council.telemetry import LEAST_SCALE


class Rates(NamedTuple):
    """How a lane learns.

    Attributes:
        learning_rate: of an edit of scale 1.
        samples: the last ones that an edit learns from.
        every: answers between edits.
        teacher: how much of the teacher an edit leaves as it was.
    """

    learning_rate: float = 3e-3
    samples: int = 4
    every: int = 4
    teacher: float = 0.9


class Verdict(NamedTuple):
    """What an answer said about the candidates; in the order of :data:`tropism_council.editor.CANDIDATES`.

    Attributes:
        losses: of each on that answer, ``float[3, B]``; gradients flow to the settings, if they had any.
        chosen: ``int64[B]``; 0 is a rollback.
        live: lanes that had candidates, ``bool[B]``.
        rows: weights of the candidates, ``float[3, B, P]``, through which gradients flow as well.
    """

    losses: Tensor
    chosen: Tensor
    live: Tensor
    rows: Tensor


def least(losses: Tensor) -> Tensor:
    """The candidate that loses least, ``int64[B]`` of ``float[3, B]``: unedited unless another is better by a number."""
    losses = torch.where(losses.isfinite(), losses, torch.inf)
    value, index = losses[1:].min(0)
    return torch.where(value < losses[0], index + 1, 0)


class OnlineLearner:
    """Weights of ``B`` lanes that adapt, each lane's apart from the others'.

    Args:
        aims: the losses.
        base: the weights that an episode begins with; read at every reset.
        lanes: ``B``.
        rates: how a lane learns.
        choose: among candidates, ``int64[B]`` of their losses ``float[3, B]``; others than :func:`least` are for comparison.
    """

    def __init__(
        self,
        aims: Aims,
        base: Mapping[str, Tensor],
        lanes: int,
        rates: Rates = Rates(),  # noqa: B008  immutable
        choose: Callable[[Tensor], Tensor] = least,
    ) -> None:
        self.aims, self.base, self.rates, self._choose = aims, base, rates, choose
        self.layout = Layout(base)
        self.rows = self.layout.join(base).repeat(lanes, 1)
        self.teacher = self.rows.clone()
        zeros = torch.zeros_like(self.rows)
        self.moments = Moments(zeros, zeros.clone(), zeros[:, 0].long())
        self.norm = zeros[:, 0].clone()
        self.log_scale = torch.full_like(self.norm, math.log10(LEAST_SCALE))
        self.since = torch.zeros_like(self.moments.steps)
        self.valid = torch.zeros(lanes, rates.samples, dtype=torch.bool, device=zeros.device)
        self.samples: Sample | None = None
        self.pending: Proposal | None = None

    @property
    def params(self) -> Params:
        """The weights that are in use, ``float[B, ...]``."""
        return self.layout.split(self.rows)

    @property
    def measured(self) -> Tensor:
        """For the telemetry, ``float[B, 2]``: gradient norm and log10 of the scale of the last edit.

        A rollback counts as the least scale, and so does no edit yet, whose norm is 0.
        """
        return torch.stack([self.norm, self.log_scale], -1)

    @property
    def due(self) -> Tensor:
        """Lanes for which a proposal can be made now, ``bool[B]``."""
        waits = self.pending.live if self.pending else torch.zeros_like(self.valid[:, 0])
        return self.valid[:, -1] & (self.since >= self.rates.every) & ~waits

    def reset(self, mask: Tensor) -> None:
        """Begin an episode in the lanes of ``bool[B]``: nothing that they have learned is left."""
        base = self.layout.join(self.base)
        self.rows = torch.where(mask[:, None], base, self.rows)
        self.teacher = torch.where(mask[:, None], base, self.teacher)
        self.moments = Moments(*(_clear(x, mask) for x in self.moments))
        self.norm, self.since = _clear(self.norm, mask), _clear(self.since, mask)
        self.log_scale = torch.where(mask, math.log10(LEAST_SCALE), self.log_scale)
        self.valid = self.valid & ~mask[:, None]
        if self.pending:
            self.pending = self.pending._replace(live=self.pending.live & ~mask)

    def judge(self, sample: Sample, told: Tensor) -> Verdict | None:
        """An answer was revealed: decide what was proposed before it, and keep it to learn from.

        Args:
            sample: one a lane, tensors ``[B, ...]``.
            told: lanes where it was, ``bool[B]``; the sample of the others may be anything.

        Returns:
            The verdict, if any of those lanes waited for one.
        """
        self._keep(sample, told)
        if self.pending is None or not (live := self.pending.live & told).any():
            return None
        rows = torch.cat([self.rows[None], self.pending.rows])
        losses = self.losses(rows, sample)
        chosen = torch.where(live, self._choose(losses.detach()), 0)
        self._take(self.pending, chosen, live)
        left = self.pending.live & ~told
        self.pending = self.pending._replace(live=left) if left.any() else None
        return Verdict(losses, chosen, live, rows)

    def propose(self, settings: Settings) -> None:
        """Compute both updates from the samples at hand, in the lanes that are :attr:`due`."""
        due = self.due
        if self.samples is None or not due.any():
            return
        own = gradients(self.aims, self.layout, self.rows, self.teacher, self.samples, self.valid)
        mixed = own[0] + (settings.weights.movedim(-1, 0)[..., None] * own[1:, None]).sum(0)
        update, moments = adam(mixed, self.moments)
        rate = self.rates.learning_rate * settings.scale[..., None]
        norm = own[0].norm(dim=-1).nan_to_num(torch.inf)  # which telemetry reads as the greatest
        new = Proposal(self.rows - rate * update, moments, settings.scale, norm, due)
        self.pending = new.beside(self.pending)
        self.since = _clear(self.since, due)

    def losses(self, rows: Tensor, sample: Sample) -> Tensor:
        """The agent's own loss on one sample a lane (tensors ``[B, ...]``), ``float[C, B]`` of weights ``float[C, B, P]``."""
        tried = tuple(x.repeat(len(rows), *[1] * (x.dim() - 1))[:, None] for x in sample)
        found = self.aims.loss(self.layout.split(rows.flatten(0, 1)), tried)
        return found.view(rows.shape[:2])

    def detach(self) -> None:
        """Let no gradient flow into what was proposed so far."""
        if self.pending:
            self.pending = self.pending.detach()

    # -- details --------------------------------------------------------------------------------------------

    def _take(self, pending: Proposal, chosen: Tensor, live: Tensor) -> None:
        """Go on with the candidates that were chosen; what is rolled back leaves nothing behind but telemetry."""

        def pick(old: Tensor, new: Tensor) -> Tensor:
            new = new.detach()
            here = chosen.view(-1, *[1] * (old.dim() - 1))
            return torch.where(here == 0, old, torch.where(here == 1, new[0], new[1]))

        self.rows = pick(self.rows, pending.rows)
        mean = pick(self.moments.mean, pending.moments.mean)
        square = pick(self.moments.square, pending.moments.square)
        self.moments = Moments(mean, square, self.moments.steps + (chosen > 0))
        rolled_back = torch.full_like(self.norm, LEAST_SCALE)
        scale = pick(rolled_back, pending.scale).log10()
        self.log_scale = torch.where(live, scale, self.log_scale)
        self.norm = torch.where(live, pending.norm, self.norm)
        followed = torch.lerp(self.rows, self.teacher, self.rates.teacher)
        self.teacher = torch.where(live[:, None], followed, self.teacher)

    def _keep(self, sample: Sample, told: Tensor) -> None:
        """Put a sample at the end of those of the lanes that were told."""
        if self.samples is None:
            self.samples = tuple(
                torch.stack([torch.zeros_like(x)] * self.rates.samples, 1) for x in sample
            )
        self.samples = tuple(
            _push(old, new, told) for old, new in zip(self.samples, sample, strict=True)
        )
        self.valid = _push(self.valid, told, told)
        self.since = self.since + told


def _clear(x: Tensor, mask: Tensor) -> Tensor:
    """``x`` with zeros in the lanes of ``mask``."""
    return x.masked_fill(mask.view(-1, *[1] * (x.dim() - 1)), 0)


def _push(rows: Tensor, new: Tensor, told: Tensor) -> Tensor:
    """``new`` (``[B, ...]``) at the end of ``rows`` (``[B, S, ...]``), whose first drops out, in some lanes."""
    moved = torch.cat([rows[:, 1:], new[:, None].to(rows.dtype)], 1)
    return torch.where(told.view(-1, *[1] * (rows.dim() - 1)), moved, rows)
