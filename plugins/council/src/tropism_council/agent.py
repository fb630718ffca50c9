"""The agent: a transformer that answers at once, and a council that it asks where that is worth it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from gymnasium.spaces import Dict, Discrete, MultiDiscrete

from tropism.agents.contract import Agent, Budget, Task
from tropism.agents.options import build_config
from tropism.agents.records import spaces_record
from tropism.errors import ArtifactError, UnsupportedTaskError
from tropism_council.config import CouncilConfig
from tropism_council.network import Network, Sizes
from tropism_council.policy import CouncilPolicy
from tropism_council.store import read_part
from tropism_council.training import Trainer

if TYPE_CHECKING:
    from tropism.agents.runs import Run


class CouncilAgent(Agent):
    """Registered as ``council``; plays PatternWorld where answers are revealed."""

    Config = CouncilConfig
    config: CouncilConfig

    def supports(self, task: Task) -> str | None:
        """``None`` on PatternWorld with dictionary observations and feedback ``reveal``."""
        if task.agents:
            return "the council plays single-agent environments"
        if "tropism/PatternWorld-" not in task.env_id:
            return f"the council reads the tokens of PatternWorld, not {task.env_id}"
        feedback = task.kwargs.get("feedback", "reveal")
        if feedback != "reveal":
            return f"the council learns from revealed answers, the feedback is {feedback!r}"
        if not isinstance(task.spaces()[0], Dict):
            return "the council reads dictionary observations: leave out flat=True"
        return None

    def train(self, task: Task, budget: Budget, run: Run) -> CouncilPolicy:
        """Learn ``task`` within ``budget``, from the latest checkpoint of ``run`` on.

        Raises:
            UnsupportedTaskError: if :meth:`supports` has a reason against ``task``.
        """
        if reason := self.supports(task):
            raise UnsupportedTaskError(f"council cannot run {task.env_id}: {reason}")
        torch.set_num_threads(self.config.threads)
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            policy = _policy(task, self.config)
            return Trainer(policy, task, budget, run, self.seed).train()

    @classmethod
    def load(cls, directory: Path, task: Task) -> CouncilPolicy:
        """The policy saved in ``directory``."""
        weights, facts = read_part(directory, "council")
        for name, value in spaces_record(task).items():
            if facts.get(name) != value:
                raise ArtifactError(
                    f"{directory}: {name} is {facts.get(name)!r}, the task needs {value!r}"
                )
        policy = _policy(
            task, build_config(CouncilConfig, facts.get("config"), owner=str(directory))
        )
        try:
            policy.network.load_state_dict(weights)
        except RuntimeError as error:
            raise ArtifactError(f"{directory} holds weights of another network: {error}") from error
        return policy


def _policy(task: Task, config: CouncilConfig) -> CouncilPolicy:
    """An untrained policy."""
    observation, action = task.spaces()
    assert isinstance(observation, Dict)
    assert isinstance(action, Discrete)  # supports() says so
    history, query = observation["history"], observation["query_k"]
    assert isinstance(history, MultiDiscrete)
    assert isinstance(query, Discrete)
    sizes = Sizes(int(history.nvec[0]), int(action.n), int(query.n))
    return CouncilPolicy(Network(sizes, config), config, sizes, spaces_record(task))
