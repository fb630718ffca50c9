"""A step of both systems for many lanes, at play and in training alike."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from tropism_council.actor import Actor, Seen, expected
from tropism_council.choices import entropy
from tropism_council.council import Thought, coherence
from tropism_council.gate import (
    FEATURES,
    MOST_SURPRISE,
    Signals,
    disagreement,
    fade,
    features,
    follow,
)
from tropism_council.network import Read

DISCOUNT = 0.99
"""Of rewards to come."""


class Look(NamedTuple):
    """What System 1 makes of a step.

    Attributes:
        seen: what it read, one step.
        read: what it made of it.
        reflex: its log-probabilities, ``float[B, F, V]``.
        value: ``float[B]``.
        known: what the gate sees, ``float[B, 5]``.
        entropy: of the reflex, as a part of the most there can be, ``float[B]``.
    """

    seen: Seen
    read: Read
    reflex: Tensor
    value: Tensor
    known: Tensor
    entropy: Tensor


class Answer(NamedTuple):
    """What is acted by.

    Attributes:
        log_probs: ``float[B, F, V]``.
        steps: that the council took, ``int64[B]``; 0 where it was not asked.
        coherence: of its voices, ``float[B]``; 1 where it was not asked.
    """

    log_probs: Tensor
    steps: Tensor
    coherence: Tensor


class Acting:
    """Lanes that are played.

    A step is ``look`` -> ``answer`` -> ``did`` -> ``paid``, and ``begin`` wherever an episode begins.

    Args:
        actor: the network.
        lanes: ``B``.
    """

    def __init__(self, actor: Actor, lanes: int) -> None:
        self.actor, self.held = actor, actor.begin(lanes)
        self.begin(torch.ones(lanes, dtype=torch.bool))

    def begin(self, mask: Tensor) -> None:
        """Episodes begin in the lanes of ``bool[B]``."""
        lanes, width = len(mask), self.actor.backbone.width
        if mask.all():
            self.signals = Signals.begin(lanes, width, self.actor.gate.typical)
            self.fresh, self.action, self.reward, self.value = self._nothing(lanes)
        else:
            self.signals = _mixed(
                mask, Signals.begin(lanes, width, self.actor.gate.typical), self.signals
            )
            now = (self.fresh, self.action, self.reward, self.value)
            mixed = (_choose(mask, *pair) for pair in zip(self._nothing(lanes), now, strict=True))
            self.fresh, self.action, self.reward, self.value = mixed
        self.held = self.held.forget(mask)

    def look(self, observation: Tensor) -> Look:
        """Read a step, ``float[B, n]`` before normalisation."""
        normal = self.actor.normal(observation)
        seen = Seen(normal[:, None], self.action[:, None], self.reward[:, None])
        read, self.held = self.actor.read(seen, torch.ones_like(self.fresh)[:, None], self.held)
        latent = read.latents[:, 0]
        reflex, value = self.actor.reflex(latent), self.actor.worth(latent)
        self._be_surprised(value)
        unsure = entropy(reflex) / self._most_entropy
        # the features' own entropy is of one choice; there may be several here
        known = features(reflex[:, 0], latent, self.signals).clone()
        known[:, FEATURES.index("entropy")] = unsure
        self.signals = self.signals._replace(usual=follow(self.signals.usual, latent))
        self.value, self.fresh = value, torch.zeros_like(self.fresh)
        return Look(seen, read, reflex, value, known, unsure)

    def answer(self, look: Look, thinks: Tensor, *, by_chance: bool) -> Answer:
        """System 2's answer in the lanes of ``bool[B]``, System 1's in the others.

        Args:
            look: of this step.
            thinks: who is asked.
            by_chance: fuse the council's answers by its chances to halt at each step; else take the one at which it halts.
        """
        log_probs, steps = look.reflex, torch.zeros(len(thinks), dtype=torch.int64)
        agreed, apart = (
            torch.ones(len(thinks)),
            fade(self.signals.disagreement, self.actor.gate.typical),
        )
        rows = thinks.nonzero()[:, 0]
        if len(rows):
            thought = self.actor.think(look.read.rows(rows), torch.zeros_like(rows)[:, None])
            taken = thought.steps()[:, 0]
            said = expected(thought)[:, 0] if by_chance else at_step(thought, taken)
            log_probs = log_probs.index_copy(0, rows, said)
            steps[rows] = taken
            voices = thought.voices[taken - 1, torch.arange(len(rows)), 0]
            agreed[rows] = coherence(voices.transpose(-2, -3)).mean(-1)
            apart[rows] = disagreement(look.reflex[rows], said).mean(-1)
        self.signals = self.signals._replace(disagreement=apart)
        return Answer(log_probs, steps, agreed)

    def did(self, options: Tensor) -> None:
        """These options were taken, ``int64[B, F]``; nothing was paid so far."""
        self.action, self.reward = options, torch.zeros(len(options))

    def paid(self, reward: Tensor) -> None:
        """And paid, ``float[B]``."""
        self.reward = reward

    def foresee(self, rows: Tensor, observation: Tensor) -> Tensor:
        """What would be worth to go on from ``float[R, n]`` in the lanes ``int64[R]``: ``float[R]``; nothing is remembered."""
        before = self.action[rows][:, None], self.reward[rows][:, None]
        seen = Seen(self.actor.normal(observation)[:, None], *before)
        new = torch.ones(len(rows), 1, dtype=torch.bool)
        read, _ = self.actor.read(seen, new, self.held.take(rows))
        return self.actor.worth(read.latents[:, 0])

    # -- details ----------------------------------------------------------------------------------------------

    def _nothing(self, lanes: int) -> tuple[Tensor, ...]:
        factors, options = self.actor.shape
        none = torch.full((lanes, factors), options)
        return torch.ones(lanes, dtype=torch.bool), none, torch.zeros(lanes), torch.zeros(lanes)

    def _be_surprised(self, value: Tensor) -> None:
        """By how much the last reward and the new value differ from the last value, in typical errors."""
        error = self.actor.scaled(self.reward) + DISCOUNT * value - self.value
        surprise = (error.abs() / self.actor.typical).clamp(max=MOST_SURPRISE)
        newest = torch.where(self.fresh, MOST_SURPRISE, surprise)
        before = torch.where(self.fresh, MOST_SURPRISE, self.signals.surprise)
        self.signals = self.signals._replace(surprise=newest, surprise_before=before)

    @property
    def _most_entropy(self) -> float:
        counts = self.actor.head.legal.view(self.actor.shape).sum(-1)
        return max(float(np.log(counts.numpy()).sum()), 1e-9)


def at_step(thought: Thought, taken: Tensor) -> Tensor:
    """What a council that was asked once a lane says at a step (``int64[R]``): ``float[R, F, V]``."""
    return thought.log_probs[taken - 1, torch.arange(len(taken)), 0]


def _choose(mask: Tensor, new: Tensor, old: Tensor) -> Tensor:
    """``new`` in the lanes of ``mask``, ``old`` in the others."""
    return torch.where(mask.view(-1, *[1] * (new.dim() - 1)), new, old)


def _mixed(mask: Tensor, new: Signals, old: Signals) -> Signals:
    return Signals(*(_choose(mask, n, o) for n, o in zip(new, old, strict=True)))
