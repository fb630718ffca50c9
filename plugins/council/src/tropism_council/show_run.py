"""Reading a finished run of the council: its rows, its task, its policy, or one line about what is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tropism.agents.contract import Task
from tropism.agents.runs import load_policy, read_metrics
from tropism.agents.trained import policy_of, read_training, task_of

if TYPE_CHECKING:
    from torch import nn

    from tropism.agents.contract import Policy

AGENT = "council"


@dataclass(frozen=True)
class Trained:
    """A finished run.

    Attributes:
        directory: of the run.
        config: what ``tropism train`` was told.
        rows: of ``metrics.jsonl``.
        task: what it was trained on.
        policy: what came of it.
    """

    directory: Path
    config: dict[str, Any]
    rows: list[dict[str, Any]]
    task: Task
    policy: Policy

    @property
    def network(self) -> nn.Module:
        """The policy's weights: a network, or an actor where it has learned from rewards."""
        return next(vars(self.policy)[n] for n in ("network", "actor") if n in vars(self.policy))


def read_run(directory: Path) -> Trained:
    """The run in ``directory``.

    Raises:
        ArtifactError: if it is no run of the council, unfinished, or damaged.
        UnknownNameError: if its environment is not registered.
    """
    from tropism_council.agent import CouncilAgent

    config = read_training(directory, AGENT)
    saved, task = policy_of(directory, config), task_of(directory, config)
    policy = load_policy(CouncilAgent, saved, task)
    return Trained(directory, config, read_metrics(directory), task, policy)
