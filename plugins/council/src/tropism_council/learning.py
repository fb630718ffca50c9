"""Learning to predict from many episodes at once: both systems, how long to think, and when."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from gymnasium.vector import AutoresetMode
from torch import Tensor

from tropism.agents.contract import Task
from tropism.envs.patternworld.observation import read
from tropism_council.config import CouncilConfig
from tropism_council.council import ponder_cost
from tropism_council.gate import FORGET, MOST_SURPRISE, Signals, disagreement, features
from tropism_council.network import Network, State
from tropism_council.tokens import Reader, Tokens, join


class Stretch(NamedTuple):
    """Some steps of all lanes.

    Attributes:
        tokens: what was shown.
        asked: the column of the last token of every step, ``int64[B, T]``.
        answers: what was revealed to be right, ``int64[B, T]``; -1 where it was not.
    """

    tokens: Tokens
    asked: Tensor
    answers: Tensor


class Episodes:
    """Endless training episodes of ``lanes`` lanes: what was shown, and what was then revealed; never a label.

    Args:
        task: where, with feedback ``reveal``.
        lanes: how many.
        masked: the token that stands for nothing.
        held_out: seeds at the end of the training range that are not used.
    """

    def __init__(self, task: Task, lanes: int, masked: int, held_out: int) -> None:
        self.env: Any = task.make_vec(lanes, train=True, autoreset_mode=AutoresetMode.DISABLED)
        first, stop = task.train_seeds
        self._seeds = first, stop - held_out
        self._masked, self._lanes = masked, lanes

    def begin(self, rng: np.random.Generator) -> None:
        """Fresh episodes, of seeds drawn from ``rng``."""
        self._rng = rng
        self._reader = Reader(self._lanes, self._masked, False)
        self._pending = self._reset()

    def next(self, steps: int) -> tuple[Stretch, bool]:
        """Up to ``steps`` steps, until the episodes end; and whether they begin with it."""
        if self._done:  # episodes of one task are equally long
            self._pending = self._reset()
        began, self._began = self._began, False
        shown, answers = [], []
        while len(shown) < steps and not self._done:
            shown.append(self._pending)
            self._pending = self._step()
            answers.append(_first_new(self._pending, self._masked))
        tokens, asked = join(shown)
        return Stretch(
            tokens, torch.from_numpy(asked), torch.from_numpy(np.stack(answers, 1))
        ), began

    def _reset(self) -> Tokens:
        seeds = self._rng.integers(*self._seeds, self._lanes).tolist()
        observation, _ = self.env.reset(seed=seeds)
        self._reader.reset(np.ones(self._lanes, np.bool_))
        self._done, self._began = False, True
        return self._reader.read(read(observation))

    def _step(self) -> Tokens:
        observation, _, terminated, truncated, _ = self.env.step(np.zeros(self._lanes, np.int64))
        self._done = bool((terminated | truncated).any())
        return self._reader.read(read(observation))


def _first_new(tokens: Tokens, masked: int) -> np.ndarray:
    """The answer that a step revealed: the first of its new tokens; -1 where it is masked."""
    first = tokens.value[np.arange(len(tokens.new)), tokens.new.argmax(1)]
    return np.where(first == masked, -1, first)


class Losses(NamedTuple):
    """What an update lowers, and what is logged of it; scalars."""

    reflex: Tensor
    council: Tensor
    ponder: Tensor
    distil: Tensor
    gate: Tensor
    steps: Tensor
    gain: Tensor


class Learner:
    """One network and its updates.

    Args:
        network: to train.
        config: of the agent.
        updates: how many there will be, for the schedule of the learning rate.
    """

    def __init__(self, network: Network, config: CouncilConfig, updates: int) -> None:
        self.network, self.config = network, config
        self.optimizer = torch.optim.AdamW(
            network.parameters(), config.learning_rate, weight_decay=0.01
        )
        warm = max(1, min(100, updates // 10))

        def rate(update: int) -> float:
            return min(1.0, (update + 1) / warm) * max(1 / 30, 1 - update / updates)

        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimizer, rate)

    def tensors(self) -> dict[str, Tensor]:
        """State of the optimiser."""
        state = self.optimizer.state_dict()["state"]
        return {f"{n}.{k}": v for n, part in state.items() for k, v in part.items()}

    def restore(self, tensors: dict[str, Tensor], updates: int) -> None:
        """Take back what :meth:`tensors` gave, after so many updates."""
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            number, _, name = key.partition(".")
            state.setdefault(int(number), {})[name] = value
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": state})
        for _ in range(updates):
            self.schedule.step()

    def update(self, stretch: Stretch, state: State) -> tuple[Losses, State]:
        """One step down the gradient; what the lanes carry on."""
        losses, state = self.losses(stretch, state)
        config = self.config
        total = (
            losses.reflex
            + losses.council
            + config.ponder_weight * losses.ponder
            + config.distil_weight * losses.distil
            + losses.gate
        )
        self.optimizer.zero_grad()
        total.backward()
        clip(self.network)
        self.optimizer.step()
        self.schedule.step()
        return losses, state.detach()

    def losses(self, stretch: Stretch, state: State) -> tuple[Losses, State]:
        """Both systems on the same stretch, System 2 at some of its steps."""
        network, config = self.network, self.config
        seen, after = network.read(stretch.tokens, stretch.asked, state)
        lanes = torch.arange(len(stretch.asked))[:, None]
        latents = seen.latents
        reflex = network.reflex(latents)
        told = stretch.answers >= 0
        answers = stretch.answers.clamp(min=0)
        nll = -reflex.gather(-1, answers[..., None])[..., 0]
        count = min(config.questions, reflex.shape[1])
        chosen = (
            torch.rand(reflex.shape[:2])
            .masked_fill(~told, -1)
            .topk(count, 1)
            .indices.sort(1)
            .values
        )
        thought = network.think(seen, chosen)
        wanted = answers[lanes, chosen]
        said = -thought.log_probs.gather(
            -1, wanted[None, ..., None].expand(len(thought.halt), -1, -1, 1)
        )[..., 0]
        halting = thought.halting()
        council = (halting * said).sum(0)
        best = _at(thought.log_probs, thought.steps() - 1)
        own = reflex[lanes, chosen]
        distil = (best.detach().exp() * (best.detach() - own)).sum(-1)
        gain = (nll[lanes, chosen] - _at(said, thought.steps() - 1)).detach()
        seen_by_gate = known(
            reflex.detach(),
            latents.detach(),
            nll.detach(),
            chosen,
            disagreement(own, best).detach(),
        )
        gate = network.gate.loss(seen_by_gate[lanes, chosen], gain)
        ponder = ponder_cost(thought, config.ponder_prior).mean()
        steps = thought.steps().double().mean()
        return Losses(
            nll[told].mean(), council.mean(), ponder, distil.mean(), gate, steps, gain.mean()
        ), after


def known(reflex: Tensor, latents: Tensor, nll: Tensor, chosen: Tensor, apart: Tensor) -> Tensor:
    """What the gate would have seen at every step of a stretch, ``float[B, T, 5]``.

    Args:
        reflex: System 1's log-probabilities, ``float[B, T, V]``.
        latents: ``float[B, T, D]``.
        nll: surprises by the answers, ``float[B, T]``.
        chosen: steps at which both systems were asked, ascending, ``int64[B, Q]``.
        apart: their disagreement there, ``float[B, Q]``.
    """
    surprise = _later(nll, MOST_SURPRISE)
    signals = Signals(
        surprise,
        _later(surprise, MOST_SURPRISE),
        _later(latents, 0.0),
        _remembered(chosen, apart, nll),
    )
    return features(reflex, latents, signals)


def _later(x: Tensor, first: float) -> Tensor:
    """``x`` (``[B, T, ...]``) one step later."""
    return torch.cat([torch.full_like(x[:, :1], first), x[:, :-1]], 1)


def _remembered(chosen: Tensor, apart: Tensor, like: Tensor) -> Tensor:
    """The last disagreement before each step, faded by its age, ``float[B, T]``."""
    steps = torch.arange(like.shape[1]).expand_as(like)
    asked = torch.full(like.shape, -1).scatter(1, chosen, chosen)
    last = _later(asked.cummax(1).values, -1)
    value = torch.zeros_like(like).scatter(1, chosen, apart).gather(1, last.clamp(min=0))
    return torch.where(last < 0, 0.0, value * FORGET ** (steps - 1 - last).clamp(min=0))


def _at(x: Tensor, step: Tensor) -> Tensor:
    """``x`` (``[N, B, Q, ...]``) at a step of each question (``int64[B, Q]``)."""
    index = step.view(1, *step.shape, *[1] * (x.dim() - 3)).expand(1, *x.shape[1:])
    return x.gather(0, index)[0]
