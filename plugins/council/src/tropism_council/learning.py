"""Learning to predict from many episodes at once: both systems, how long to think, when, and what the agent knows of itself."""

from __future__ import annotations

import copy
import math
from typing import NamedTuple

import torch
from torch import Tensor

from tropism_council.adapting import rehearsed
from tropism_council.config import CouncilConfig
from tropism_council.council import Thought, ponder_cost, ponder_loss
from tropism_council.descent import Descent
from tropism_council.episodes import Stretch
from tropism_council.gate import disagreement, known
from tropism_council.losses import Facts, Losses, check, returns
from tropism_council.network import Network, Read, State
from tropism_council.telemetry import LEAST_NORM, LEAST_SCALE, encode

REHEARSE_EVERY = 2
"""Updates between two in which the editor learns."""


class Carried(NamedTuple):
    """What training carries from stretch to stretch: of the network, of its teacher, and of the telemetry's reader."""

    student: State
    teacher: State
    self_state: Tensor

    @classmethod
    def begin(cls, network: Network, lanes: int) -> Carried:
        """Nothing seen."""
        return cls(network.begin(lanes), network.begin(lanes), network.telemetry.begin(lanes))


class Look(NamedTuple):
    """What System 1 made of a stretch.

    Attributes:
        tokens: of the telemetry, ``int64[B, T, 4]``.
        before: what it knew of itself before each step, ``float[B, T, D]``.
        seen: of the stream.
        reflex: its log-probabilities, ``float[B, T, V]``.
        nll: and of the right answer, negative, ``float[B, T]``.
    """

    tokens: Tensor
    before: Tensor
    seen: Read
    reflex: Tensor
    nll: Tensor


class Learner:
    """One network, its teacher (the moving average of its weights), and its updates.

    Args:
        network: to train.
        config: of the agent.
        updates: how many there will be, for the schedule of the learning rate.
    """

    def __init__(self, network: Network, config: CouncilConfig, updates: int) -> None:
        self.network, self.config = network, config
        self.teacher = copy.deepcopy(network).requires_grad_(False)
        self.descent = Descent(network, config.learning_rate, updates)

    def tensors(self) -> dict[str, Tensor]:
        """Teacher and optimiser."""
        teacher = {f"teacher.{name}": v for name, v in self.teacher.state_dict().items()}
        return {**self.descent.tensors(), **teacher}

    def restore(self, tensors: dict[str, Tensor], updates: int) -> None:
        """Take back what :meth:`tensors` gave, after so many updates."""
        start = "teacher."
        theirs = {k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)}
        self.teacher.load_state_dict(theirs)
        self.descent.restore(tensors, updates)

    def update(self, stretch: Stretch, carried: Carried) -> tuple[Losses, Facts, Carried]:
        """One step down the gradient; what the lanes carry on.

        Raises:
            DivergedError: a loss or a gradient is not a number; the weights are as they were.
        """
        losses, facts, carried = self.losses(stretch, carried)
        check(losses)
        self.descent.step(self.total(losses), lambda: self.network.gate.loss(*self._lesson))
        self._follow()
        self.network.gate.heed(facts.apart)
        return losses, facts, carried

    def total(self, losses: Losses) -> Tensor:
        """The weighted sum of the losses."""
        c = self.config
        weights = (1.0, 1.0, c.ponder_weight, c.distil_weight, c.value_weight, 0.1, 1.0, 1.0)
        return sum(w * x for w, x in zip(weights, losses, strict=True))  # type: ignore[return-value]

    def losses(self, stretch: Stretch, carried: Carried) -> tuple[Losses, Facts, Carried]:
        """Both systems on the same stretch, System 2 at some of its steps."""
        told, answers = stretch.answers >= 0, stretch.answers.clamp(min=0)
        chosen = _chosen(told, min(self.config.questions, told.shape[1]))
        taught, values, teacher = self._teach(stretch, chosen, carried.teacher)
        one, student, self_state = self._look(stretch, carried, encode(values))
        thought = self.network.think(one.seen, chosen)
        council, gate, gain, apart = self._compare(one, answers, chosen, thought)
        right = (one.reflex.argmax(-1) == answers) & told
        losses = Losses(
            one.nll[told].mean(),
            council,
            ponder_cost(thought, self.config.ponder_prior).mean(),
            (taught.exp() * (taught - _rows(one.reflex, chosen))).sum(-1).mean(),
            (self.network.worth(one.seen.latents) - returns(right)).square().mean(),
            self.network.telemetry.introspection_loss(one.before, one.tokens),
            gate,
            self._rehearse(one, stretch.answers, chosen, thought),
        )
        found = thought.steps().double().mean(), gain.mean(), apart.mean()
        facts = Facts(*found, right[told].double().mean())
        return losses, facts, Carried(student.detach(), teacher, self_state.detach())

    def _look(
        self, stretch: Stretch, carried: Carried, tokens: Tensor
    ) -> tuple[Look, State, Tensor]:
        """System 1 on a stretch, told of itself by ``tokens``; and what student and telemetry carry on."""
        network = self.network
        itself, self_state = network.telemetry(tokens, carried.self_state)
        before = torch.cat([carried.self_state[:, None], itself[:, :-1]], 1)
        plasticity = network.telemetry.plasticity(before)
        seen, student = network.read(stretch.tokens, stretch.asked, carried.student, plasticity)
        reflex = network.reflex(seen.latents)
        nll = -reflex.gather(-1, stretch.answers.clamp(min=0)[..., None])[..., 0]
        return Look(tokens, before, seen, reflex, nll), student, self_state

    def _compare(
        self, one: Look, answers: Tensor, chosen: Tensor, thought: Thought
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """System 2's loss, that of the gate; and by question what the gate foresees, a gain, and how far the systems differed."""
        wanted = _rows(answers, chosen)[None, ..., None].expand(len(thought.halt), -1, -1, 1)
        said = -thought.log_probs.gather(-1, wanted)[..., 0]
        last = thought.steps() - 1
        gain = ((-_at(said, last)).exp() - (-_rows(one.nll, chosen)).exp()).detach()
        apart = disagreement(_rows(one.reflex, chosen), _at(thought.log_probs, last)).detach()
        facts = one.reflex.detach(), one.before.detach(), one.nll.detach()
        gate = self.network.gate
        self._lesson = _rows(known(*facts, (chosen, apart), gate.typical), chosen), gain
        council = ponder_loss(thought, said, self.config.ponder_loss).mean()
        return council, gate.loss(*self._lesson), gain, apart

    def _rehearse(self, one: Look, answers: Tensor, chosen: Tensor, thought: Thought) -> Tensor:
        """What the editor lowers, in some updates; the loss of a network that has diverged is left to name its head."""
        due = self.descent.done % REHEARSE_EVERY == 0 and bool(one.nll.isfinite().all())
        if self.network.editor is None or not due:
            return torch.zeros(())
        asked = chosen, _at(thought.log_probs, thought.steps() - 1)
        return rehearsed(self.network, one.seen, one.before, answers, asked, self.config.edit_rate)

    @torch.no_grad()
    def _teach(
        self, stretch: Stretch, chosen: Tensor, state: State
    ) -> tuple[Tensor, Tensor, State]:
        """The teacher's System 2 (System 1, if nothing is distilled) at the questions, the telemetry of all steps (``float[B, T, 4]``), and what it carries on."""
        seen, state = self.teacher.read(stretch.tokens, stretch.asked, state)
        reflex = self.teacher.reflex(seen.latents)
        answers = stretch.answers.clamp(min=0)
        surprise = -reflex.gather(-1, answers[..., None])[..., 0]
        entropy = -(reflex.exp() * reflex).sum(-1) / math.log(reflex.shape[-1])
        values = torch.cat([torch.stack([surprise, entropy], -1), self._edit(entropy)], -1)
        if not self.config.distil_weight:
            return (
                _rows(reflex, chosen),
                values,
                state,
            )  # nobody asks what it would say on second thoughts
        thought = self.teacher.think(seen, chosen)
        return _at(thought.log_probs, thought.steps() - 1), values, state

    def _edit(self, like: Tensor) -> Tensor:
        """The last update as telemetry, ``float[B, T, 2]``; every other lane is told of none, as at play without an editor."""
        rate = max(self.descent.rate / self.config.learning_rate, LEAST_SCALE)
        edit = torch.tensor([LEAST_NORM, math.log10(LEAST_SCALE)]).repeat(*like.shape, 1)
        edit[::2] = torch.tensor([max(self.descent.norm, LEAST_NORM), math.log10(rate)])
        return edit

    @torch.no_grad()
    def _follow(self) -> None:
        """The teacher takes a step towards the network; a longer one at first, when there is little to average."""
        done = self.descent.done
        rate = 1 - min(self.config.teacher_decay, done / (10 + done))
        for theirs, ours in zip(self.teacher.parameters(), self.network.parameters(), strict=True):
            theirs.lerp_(ours, rate)


def _chosen(told: Tensor, count: int) -> Tensor:
    """``count`` steps of each lane whose answers were told, at random, ascending, ``int64[B, Q]``."""
    lots = torch.rand(told.shape).masked_fill(~told, -1)
    return lots.topk(count, 1).indices.sort(1).values


def _rows(x: Tensor, chosen: Tensor) -> Tensor:
    """``x`` (``[B, T, ...]``) at the steps ``int64[B, Q]``."""
    return x[torch.arange(len(chosen))[:, None], chosen]


def _at(x: Tensor, step: Tensor) -> Tensor:
    """``x`` (``[N, B, Q, ...]``) at a step of each question (``int64[B, Q]``)."""
    index = step.view(1, *step.shape, *[1] * (x.dim() - 3)).expand(1, *x.shape[1:])
    return x.gather(0, index)[0]
