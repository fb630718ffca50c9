"""Learning from rewards: proximal policy optimisation of both systems (Schulman et al. 2017, arXiv:1707.06347).

The lanes' streams are read again from where the stretch began, so that gradients flow through the stretch; whichever system
acted is the one whose probabilities are moved.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from tropism.agents.torch_state import optimiser_tensors, restore_optimiser
from tropism.errors import DivergedError
from tropism_council.actor import Actor, Seen, expected
from tropism_council.choices import divergence, entropy, log_prob
from tropism_council.config import CouncilConfig
from tropism_council.council import ponder_cost
from tropism_council.experience import Rows, Stretch
from tropism_council.network import Read

MOST_RATIO = 2.0
"""How many times as likely System 1 may find what System 2 did, for the gate's measure of a gain."""

MOST_NORM = 0.5
"""Gradients are shortened to this."""


@dataclass(frozen=True)
class Practice:
    """How is learned from rewards; by trial on the sanity environments.

    Attributes:
        learning_rate: of AdamW, it falls linearly to a thirtieth.
        epochs: how often a stretch is learned from.
        batch: steps that are learned from at once, about.
        clip: how far a probability may move, as a part of itself.
        entropy_weight: of the policies' entropy; falls linearly to a thirtieth as well.
        value_weight: of the squared error of the value.
    """

    learning_rate: float = 2e-3
    epochs: int = 4
    batch: int = 256
    clip: float = 0.2
    entropy_weight: float = 0.01
    value_weight: float = 0.5


class Losses(NamedTuple):
    """What an update lowers, by head; scalars.

    Attributes:
        policy: clipped gain of the system that acted, with the sign turned.
        value: squared error.
        entropy: of the system that acted, nats, with the sign turned.
        ponder: divergence of the halting from its prior, nats.
        distil: of System 1 from System 2, nats.
        gate: squared error of the gains that were expected, and negative log-likelihood of how far they were off.
    """

    policy: Tensor
    value: Tensor
    entropy: Tensor
    ponder: Tensor
    distil: Tensor
    gate: Tensor


class Targets(NamedTuple):
    """What is learned of a stretch, ``float[B, T]`` each.

    Attributes:
        advantages: of what was done, of mean 0 and deviation 1.
        returns: that the value should have foreseen.
        gains: of thinking, where it was thought.
    """

    advantages: Tensor
    returns: Tensor
    gains: Tensor

    @classmethod
    def of(cls, stretch: Stretch) -> Targets:
        """Measured by generalised advantages.

        An action that System 2 took was worth its advantage to it, and to System 1 as much in so far as that would have done
        the same: the difference has the mean of what System 2 gains.  The steps at which it acts are drawn with the same
        chance everywhere, so that no weight is needed for them.
        """
        raw = stretch.advantages()
        ratio = (stretch.reflexes - stretch.log_probs).exp().clamp(max=MOST_RATIO)
        normal = (raw - raw.mean()) / (raw.std(correction=0) + 1e-8)
        return cls(normal, raw + stretch.values, raw * (1 - ratio))


class Practitioner:
    """An actor and its updates.

    Args:
        actor: to train.
        config: of the agent.
        practice: how.
        updates: how many there will be, for the schedules.
    """

    def __init__(
        self, actor: Actor, config: CouncilConfig, practice: Practice, updates: int
    ) -> None:
        self.actor, self.config, self.practice, self.updates = actor, config, practice, updates
        self._others = [p for n, p in actor.named_parameters() if not n.startswith("gate.")]
        self.optimizer = torch.optim.AdamW(
            actor.parameters(), practice.learning_rate, eps=1e-5, weight_decay=0.01
        )
        self.done = 0

    def tensors(self) -> dict[str, Tensor]:
        """State of the optimiser."""
        return optimiser_tensors(self.optimizer)

    def restore(self, tensors: dict[str, Tensor], updates: int) -> None:
        """Take back what :meth:`tensors` gave, after so many updates."""
        restore_optimiser(self.optimizer, tensors)
        self.done = updates

    def update(self, stretch: Stretch) -> dict[str, float]:
        """Learn from a stretch; what is logged of it.

        Raises:
            DivergedError: a loss is not a finite number; the weights are those before that step.
        """
        fade = max(1 / 30, 1 - self.done / self.updates)
        for group in self.optimizer.param_groups:
            group["lr"] = self.practice.learning_rate * fade
        targets, rows, found = Targets.of(stretch), stretch.rows(), []
        if stretch.thinks.any():
            self.actor.gate.heed(stretch.known[..., -1][stretch.thinks].mean())
        for _ in range(self.practice.epochs):
            order = torch.randperm(len(rows.lane))
            for which in order.chunk(max(1, stretch.first.numel() // self.practice.batch)):
                losses = self.losses(stretch, targets, rows.some(which))
                self._descend(losses, fade)
                found.append(torch.stack(losses).detach())
        self.done += 1
        mean = torch.stack(found).mean(0).tolist()
        return dict(zip(Losses._fields, mean, strict=True))

    def losses(self, stretch: Stretch, targets: Targets, rows: Rows) -> Losses:
        """Of both systems on some rows."""
        actor, new = self.actor, rows.new
        held = stretch.held.take(rows.lane).forget(rows.fresh)
        read, _ = actor.read(Seen(*(rows.of(x) for x in stretch.seen)), new, held)
        reflex, thinks = actor.reflex(read.latents), rows.of(stretch.thinks) & new
        acted, ponder, distil = self._think(read, reflex, thinks)
        ratio = (log_prob(acted, rows.of(stretch.options)) - rows.of(stretch.log_probs)).exp()
        return Losses(
            _clipped(ratio, rows.of(targets.advantages), self.practice.clip)[new].mean(),
            (actor.worth(read.latents) - rows.of(targets.returns))[new].square().mean(),
            -entropy(acted)[new].mean(),
            ponder,
            distil,
            self._foresight(stretch, targets, rows, thinks),
        )

    def _think(self, read: Read, reflex: Tensor, thinks: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What was acted by (``float[R, W, F, V]``), and the losses of halting and of distillation."""
        if not thinks.any():
            return reflex, torch.zeros(()), torch.zeros(())
        some = thinks.any(1).nonzero()[:, 0]
        chosen, asked = _questions(thinks[some])
        thought = self.actor.think(read.rows(some), chosen)
        said = expected(thought)[asked]
        where = some[:, None].expand_as(chosen)[asked], chosen[asked]
        ponder = ponder_cost(thought, self.config.ponder_prior)[asked].mean()
        distil = divergence(said.detach(), reflex[where]).mean()
        return reflex.index_put(where, said), ponder, distil

    def _foresight(self, stretch: Stretch, targets: Targets, rows: Rows, thinks: Tensor) -> Tensor:
        if not thinks.any():
            return torch.zeros(())
        known, gains = rows.of(stretch.known)[thinks], rows.of(targets.gains)[thinks]
        return self.actor.gate.loss(known, gains)

    def _descend(self, losses: Losses, fade: float) -> None:
        practice, config = self.practice, self.config
        wrong = [n for n, x in losses._asdict().items() if not torch.isfinite(x)]
        if wrong:
            raise DivergedError(", ".join(wrong), getattr(losses, wrong[0]).item())
        weights = (
            1.0,
            practice.value_weight,
            practice.entropy_weight * fade,
            config.ponder_weight,
            config.distil_weight,
            1.0,
        )
        self.optimizer.zero_grad()
        torch.stack([w * x for w, x in zip(weights, losses, strict=True)]).sum().backward()
        for part in (self.actor.gate.parameters(), self._others):  # apart, not to shrink the others
            norm = torch.nn.utils.clip_grad_norm_(part, MOST_NORM)
            if not torch.isfinite(norm):
                raise DivergedError("the norm of all gradients", norm.item())
        self.optimizer.step()


def _questions(thinks: Tensor) -> tuple[Tensor, Tensor]:
    """The steps of ``bool[R, W]`` in order, ``int64[R, Q]``, and which of them are meant, ``bool[R, Q]``."""
    count = int(thinks.sum(1).max())
    chosen = torch.argsort(~thinks, dim=1, stable=True)[:, :count]
    return chosen, thinks.gather(1, chosen)


def _clipped(ratio: Tensor, advantage: Tensor, clip: float) -> Tensor:
    """What is lowered for probabilities that have become ``ratio`` times as large."""
    return -torch.minimum(ratio * advantage, ratio.clamp(1 - clip, 1 + clip) * advantage)
