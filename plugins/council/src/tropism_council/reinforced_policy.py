"""The council at play where it has learned from rewards: any plain observation, any plain action."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from gymnasium.spaces import Discrete

from tropism.agents.contract import BoolArray, Decision, Policy, Task
from tropism.agents.options import build_config
from tropism.agents.records import check_record, spaces_record
from tropism.agents.torch_state import restore_weights
from tropism_council.acting import Acting
from tropism_council.actor import Actor
from tropism_council.choices import Choices, unsupported_action
from tropism_council.config import CouncilConfig
from tropism_council.encoders import Encoder, unsupported_observation
from tropism_council.reinforcement import Practice
from tropism_council.store import read_part, write_part

LEARNED_FROM = "rewards"
"""Tells such a policy's file from one that was learned from revealed answers."""


def unsupported(task: Task) -> str | None:
    """Why the council cannot learn ``task`` from its rewards, or ``None``."""
    if task.agents:
        return "the council plays single-agent environments"
    observation, action = task.spaces()
    return unsupported_observation(observation) or unsupported_action(action)


class ReinforcedPolicy(Policy):
    """Acts for any number of lanes, which do not touch one another.

    It takes the likeliest action (of a Box, the mean of its levels), or draws one from the lane's seed: whichever has done
    better on held-out training seeds, as some environments need a mixed strategy; it draws where the budget was too small to
    tell.  Sanity-Stochastic needs one of players without memory only: this one remembers what it has done, and gets the
    proportions right without chance.  ``compute`` counts passes: 1 for System 1's, and one for
    every step of every voice.  The stream reaches ``window`` steps back, the memory ``slots``; longer episodes are forgotten
    step by step.

    Args:
        task: gives the spaces.
        config: of the agent.
        practice: how is, or was, learned.
    """

    def __init__(self, task: Task, config: CouncilConfig, practice: Practice) -> None:
        observation, action = task.spaces()
        self.encoder, self.choices = Encoder(observation), Choices(action)
        self.config, self.practice, self.spaces = config, practice, spaces_record(task)
        self.actor = Actor(self.encoder, self.choices, config)
        self._acting: Acting | None = None
        self._random: list[np.random.Generator] = []

    def reset(self, mask: BoolArray, seeds: npt.NDArray[np.uint64]) -> None:
        """Begin an episode in the lanes of ``mask``."""
        if self._acting is None or len(self._random) != len(mask):
            self._acting = Acting(self.actor, len(mask))
            self._random = [np.random.default_rng(0)] * len(mask)
        else:
            self._acting.begin(torch.from_numpy(mask))
        for lane in np.flatnonzero(mask):
            self._random[lane] = np.random.default_rng(int(seeds[lane]))

    @torch.no_grad()
    def act(
        self,
        observation: Any,
        info: Mapping[str, Any],  # noqa: ARG002  all it needs is shown
        gate: BoolArray | None = None,
    ) -> Decision:
        """System 1's action, or System 2's where ``gate`` (by default the network's own) says so."""
        acting = self.acting
        look = acting.look(self.encoder(observation))
        score, _ = self.actor.gate.score(look.known)
        thinks = score > self.actor.gate.threshold if gate is None else torch.from_numpy(gate)
        answer = acting.answer(look, thinks, by_chance=False)
        options, action = self._choose(answer.log_probs)
        acting.did(torch.from_numpy(options))
        discrete = isinstance(self.choices.space, Discrete)
        return Decision(
            action=action,
            compute=(1 + answer.steps * self.config.voices).numpy(),
            log_probs=answer.log_probs[:, 0].numpy() if discrete else None,
            diagnostics={
                "mode": thinks.numpy().astype(np.int64),
                "score": score.numpy(),
                "entropy": look.entropy.numpy(),
                "surprise": acting.signals.surprise.numpy(),
                "value": look.value.numpy(),
                "steps": answer.steps.numpy(),
                "coherence": answer.coherence.numpy(),
            },
        )

    def observe(
        self,
        action: Any,  # noqa: ARG002  it is remembered
        observation: Any,  # noqa: ARG002  it is read by the next act()
        reward: npt.NDArray[np.float64],
        terminated: BoolArray,  # noqa: ARG002  reset() tells
        truncated: BoolArray,  # noqa: ARG002
        info: Mapping[str, Any],  # noqa: ARG002
    ) -> None:
        """Remember what was paid: the next position of the stream holds it."""
        self.acting.paid(torch.from_numpy(np.asarray(reward, np.float32)))

    def save(self, directory: Path) -> None:
        """Write weights, what they normalise by, settings and spaces."""
        facts = {
            "learned_from": LEARNED_FROM,
            "config": asdict(self.config),
            "practice": asdict(self.practice),
            **self.spaces,
        }
        write_part(directory, "council", dict(self.actor.state_dict()), facts)

    @classmethod
    def load(cls, directory: Path, task: Task) -> ReinforcedPolicy:
        """Read what :meth:`save` wrote.

        Raises:
            ArtifactError: if it is incomplete, damaged, or of another task.
        """
        weights, facts = read_part(directory, "council")
        check_record(facts, {"learned_from": LEARNED_FROM, **spaces_record(task)}, directory)
        config = build_config(CouncilConfig, facts.get("config"), owner=str(directory))
        practice = build_config(Practice, facts.get("practice"), owner=str(directory))
        policy = cls(task, config, practice)
        policy.restore(weights, directory)
        return policy

    def restore(self, weights: Mapping[str, torch.Tensor], directory: Path) -> None:
        """Take the weights that ``directory`` holds.

        Raises:
            ArtifactError: if they are of another network.
        """
        restore_weights(self.actor, weights, directory)

    @property
    def acting(self) -> Acting:
        """The current lanes.

        Raises:
            RuntimeError: before the first :meth:`reset`.
        """
        if self._acting is None:
            raise RuntimeError(
                "ReinforcedPolicy.act() before reset(); call policy.reset(mask, seeds) first"
            )
        return self._acting

    def _choose(self, log_probs: torch.Tensor) -> tuple[npt.NDArray[np.int64], npt.NDArray[Any]]:
        if not self.actor.draws:
            return self.choices.best(log_probs)
        noise = np.stack([rng.random(self.choices.count) for rng in self._random])
        options = self.choices.draw(log_probs, noise)
        return options, self.choices.actions(options)
