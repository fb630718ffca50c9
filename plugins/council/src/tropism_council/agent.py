"""The agent: a transformer that answers at once, and a council that it asks where that is worth it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from gymnasium.spaces import Dict, Discrete, MultiDiscrete

from tropism.agents.contract import Agent, Budget, Policy, Task
from tropism.agents.options import build_config
from tropism.agents.records import check_record, spaces_record
from tropism.agents.torch_state import restore_weights
from tropism.errors import UnsupportedTaskError
from tropism_council.config import CouncilConfig
from tropism_council.network import Network, Sizes
from tropism_council.policy import CouncilPolicy
from tropism_council.reinforced_policy import ReinforcedPolicy, unsupported
from tropism_council.reinforced_training import ReinforcedTrainer
from tropism_council.reinforcement import Practice
from tropism_council.store import read_part
from tropism_council.tokens import MOST_NEW
from tropism_council.training import Trainer

if TYPE_CHECKING:
    from tropism.agents.runs import Run


class CouncilAgent(Agent):
    """Registered as ``council``: learns PatternWorld from its revealed answers, everything else from rewards."""

    Config = CouncilConfig
    config: CouncilConfig

    def supports(self, task: Task) -> str | None:
        """``None``, or why not: several agents, or spaces that are not plain, too large or too small."""
        return unreadable(task) if not task.agents and reveals(task) else unsupported(task)

    def train(self, task: Task, budget: Budget, run: Run) -> Policy:
        """Learn ``task`` within ``budget``, from the latest checkpoint of ``run`` on.

        Raises:
            UnsupportedTaskError: if :meth:`supports` has a reason against ``task``.
        """
        if reason := self.supports(task):
            raise UnsupportedTaskError(f"council cannot run {task.env_id}: {reason}")
        torch.set_num_threads(self.config.threads)
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            if reveals(task):
                policy = untrained(task, self.config)
                return Trainer(policy, task, budget, run, self.seed).train()
            reinforced = ReinforcedPolicy(task, self.config, Practice())
            return ReinforcedTrainer(reinforced, task, budget, run, self.seed).train()

    @classmethod
    def load(cls, directory: Path, task: Task) -> Policy:
        """The policy saved in ``directory``."""
        if not reveals(task):
            return ReinforcedPolicy.load(directory, task)
        weights, facts = read_part(directory, "council")
        check_record(facts, spaces_record(task), directory)
        policy = untrained(
            task, build_config(CouncilConfig, facts.get("config"), owner=str(directory))
        )
        restore_weights(policy.network, weights, directory)
        return policy


def reveals(task: Task) -> bool:
    """Whether ``task`` reveals the right answers: PatternWorld, unless its feedback is another."""
    return (
        "tropism/PatternWorld-" in task.env_id and task.kwargs.get("feedback", "reveal") == "reveal"
    )


def unreadable(task: Task) -> str | None:
    """Why what is new in the histories of PatternWorld cannot be told, or ``None``."""
    observation = task.spaces()[0]
    if not isinstance(observation, Dict):
        return "the council reads dictionary observations: leave out flat=True"
    shown, least = (observation["history"].shape or (0,))[0], 2 * MOST_NEW
    if "-Hop-" in task.env_id and shown < least:
        return f"the council tells new tokens of Hop by the old ones: history is {shown}, give {least} or more"
    return None


def untrained(task: Task, config: CouncilConfig) -> CouncilPolicy:
    """An untrained policy."""
    observation, action = task.spaces()
    assert isinstance(observation, Dict)
    assert isinstance(action, Discrete)  # supports() says so
    history, query = observation["history"], observation["query_k"]
    assert isinstance(history, MultiDiscrete)
    assert isinstance(query, Discrete)
    sizes = Sizes(int(history.nvec[0]), int(action.n), int(query.n))
    return CouncilPolicy(Network(sizes, config), config, sizes, spaces_record(task))
