"""The agent under test of the conformance suite, and how the checks train and play it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tropism.agents.contract import Agent, Budget, Policy, Task
from tropism.agents.evaluate import Episode, evaluate
from tropism.agents.options import build_config
from tropism.agents.runs import Run


@dataclass
class Subject:
    """The agent under test; a trained policy is kept for the checks that follow."""

    name: str
    agent_class: type[Agent]
    options: dict[str, Any]
    budget: Budget
    directory: Path
    policy: Policy | None = None
    trainings: int = 0

    def build(self) -> Agent:
        """A fresh agent, always with the same options and seed."""
        config = build_config(self.agent_class.Config, self.options, owner=f"agent {self.name!r}")
        return self.agent_class(config, seed=1)

    def train(self, task: Task) -> Policy:
        """A new training in a run directory of its own."""
        self.trainings += 1
        with Run(self.directory / f"run{self.trainings}", {"agent": self.name, "seed": 1}) as run:
            return self.build().train(task, self.budget, run)

    def trained(self, task: Task) -> Policy:
        """The policy of the first training."""
        if self.policy is None:
            self.policy = self.train(task)
        return self.policy

    def play(
        self, policy: Policy, task: Task, seeds: Iterable[int], lanes: int | None = None
    ) -> dict[int, Episode]:
        """One episode a seed, by seed."""
        privileged = self.agent_class.privileged
        episodes = evaluate(policy, task, list(seeds), privileged=privileged, lanes=lanes)
        return {episode.seed: episode for episode in episodes}
