"""Playing to learn from it, System 2 asked at random."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from gymnasium.vector import AutoresetMode
from torch import Tensor

from tropism.agents.contract import Task
from tropism_council.acting import DISCOUNT, Acting
from tropism_council.actor import Actor, Seen
from tropism_council.choices import Choices, log_prob
from tropism_council.encoders import Encoder
from tropism_council.experience import Step, Stretch


class Rollouts:
    """Endless training episodes, played by the actor as it is.

    Args:
        actor: plays.
        encoder: of its observations.
        choices: of its actions.
        task: where.
        lanes: how many.
        share: of the steps that System 2 takes, at random.
        held_out: seeds at the end of the training range that are not used.

    Attributes:
        finished: returns of the episodes that ended, since somebody emptied it.
    """

    def __init__(
        self,
        actor: Actor,
        encoder: Encoder,
        choices: Choices,
        task: Task,
        lanes: int,
        share: float,
        held_out: int,
    ) -> None:
        self.actor, self.encoder, self.choices = actor, encoder, choices
        self.env: Any = task.make_vec(lanes, train=True, autoreset_mode=AutoresetMode.SAME_STEP)
        self._seeds = task.train_seeds[0], task.train_seeds[1] - held_out
        self._lanes, self._share = lanes, share

    def begin(self, rng: np.random.Generator) -> None:
        """Fresh episodes, of seeds drawn from ``rng``, as is everything that is random from here on."""
        self._rng = rng
        observation, _ = self.env.reset(seed=rng.integers(*self._seeds, self._lanes).tolist())
        self._observation = self.encoder(observation)
        self._acting = Acting(self.actor, self._lanes)
        self._sums = np.zeros(self._lanes)
        self.finished: list[float] = []
        self._gathered = torch.zeros(self._lanes)

    @torch.no_grad()
    def next(self, steps: int) -> Stretch:
        """Play ``steps`` steps, and learn how large observations, rewards and errors are."""
        held, found, observations = self._acting.held, [], []
        for _ in range(steps):
            observations.append(self._observation)
            found.append(self._step())
        last = self._acting.foresee(torch.arange(self._lanes), self._observation)
        every = Step(*(torch.stack(part, 1) for part in zip(*found, strict=True)))
        self._measure(every.paid, every.ends)
        stretch = Stretch(
            Seen(*every[:3]),
            *every[3:10],
            self.actor.scaled(every.paid),
            every.ends,
            every.beyond,
            last,
            held,
        )
        self._note_errors(stretch)
        self.actor.normal.add(torch.cat(observations))
        return stretch

    # -- details ----------------------------------------------------------------------------------------------

    def _step(self) -> Step:
        acting = self._acting
        first = acting.fresh
        look = acting.look(self._observation)
        thinks = self._asked()
        said = acting.answer(look, thinks, by_chance=True).log_probs
        noise = self._rng.random((self._lanes, self.choices.count))
        options = torch.from_numpy(self.choices.draw(said, noise))
        acting.did(options)
        paid, ends, beyond = self._play(options)
        return Step(
            *(x[:, 0] for x in look.seen),
            first=first,
            options=options,
            thinks=thinks,
            log_probs=log_prob(said, options),
            reflexes=log_prob(look.reflex, options),
            known=look.known,
            values=look.value,
            paid=paid,
            ends=ends,
            beyond=beyond,
        )

    def _asked(self) -> Tensor:
        """Who asks the council, ``bool[B]``: all lanes at the same steps, which makes for full batches."""
        return torch.full((self._lanes,), self._rng.random() < self._share)

    def _play(self, options: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Rewards, ends, and what is foreseen beyond the ends that only cut off."""
        action = self.choices.actions(options.numpy())
        observation, reward, terminated, truncated, info = self.env.step(action)
        ends, beyond = terminated | truncated, torch.zeros(self._lanes)
        self._acting.paid(torch.from_numpy(np.asarray(reward, np.float32)))
        paid = self._acting.reward
        cut = np.flatnonzero(truncated & ~terminated)
        if len(cut):
            final = torch.cat([self.encoder.one(info["final_obs"][lane]) for lane in cut])
            beyond[cut] = self._acting.foresee(torch.from_numpy(cut), final)
        self._count(reward, ends)
        if ends.any():
            self._acting.begin(torch.from_numpy(ends))
        self._observation = self.encoder(observation)
        return paid, torch.from_numpy(ends), beyond

    def _count(self, reward: Any, ends: Any) -> None:
        self._sums += reward
        self.finished += self._sums[ends].tolist()
        self._sums[ends] = 0

    def _measure(self, rewards: Tensor, ends: Tensor) -> None:
        """How large discounted sums of rewards are."""
        sums = []
        for reward, end in zip(rewards.unbind(1), ends.unbind(1), strict=True):
            self._gathered = reward + DISCOUNT * self._gathered
            sums.append(self._gathered)
            self._gathered = self._gathered * ~end
        self.actor.returns.add(torch.cat(sums)[:, None])

    def _note_errors(self, stretch: Stretch) -> None:
        after = torch.cat([stretch.values[:, 1:], stretch.last[:, None]], 1)
        error = (
            stretch.rewards
            + DISCOUNT * torch.where(stretch.ends, stretch.beyond, after)
            - stretch.values
        )
        self.actor.typical.mul_(0.9).add_(0.1 * error.abs().mean().clamp(min=1e-3))
