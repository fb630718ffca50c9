"""How a training run is spent: stretches within the budget, checkpoints, and a resume that changes nothing.

Each checkpoint begins afresh: episodes and generators are seeded from the agent's seed and the steps so far, so that a run
that was killed and resumed ends with the very weights of one that was not.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from tropism.agents.contract import Budget, Task
from tropism_council.config import CouncilConfig
from tropism_council.store import write_part

if TYPE_CHECKING:
    from tropism.agents.runs import Run

HELD_OUT = 64
"""Seeds at the end of the training range that are kept for the threshold."""
CALIBRATION = 0.05
"""Part of the budget for it, at most as many steps as ..."""
MOST_CALIBRATION = 32_768
LEAST_CALIBRATION = 256
"""Steps with fewer of which no threshold is set."""


class Plan:
    """How a budget is spent.

    Attributes:
        lanes: episodes side by side.
        training: environment steps for learning.
        calibration: environment steps for the threshold; 0 if too few would be left.
        updates: how often is learned, at most.
    """

    def __init__(self, config: CouncilConfig, env_steps: int) -> None:
        held = min(int(CALIBRATION * env_steps), MOST_CALIBRATION)
        self.calibration = held if held >= LEAST_CALIBRATION else 0
        self.training = env_steps - self.calibration
        self.lanes = max(1, min(config.lanes, self.training // config.stretch))
        self.updates = max(1, self.training // (self.lanes * config.stretch))


class Schedule(ABC):
    """One training, whatever it learns from.

    Args:
        policy: whose network learns.
        task: where.
        budget: how much.
        run: gets progress, scalars and checkpoints.
        seed: of the agent.
    """

    def __init__(self, policy: Any, task: Task, budget: Budget, run: Run, seed: int) -> None:
        self.policy, self.task, self.run, self.seed = policy, task, run, seed
        self.plan = Plan(policy.config, budget.env_steps)
        self._end = np.inf if budget.wall_s is None else time.monotonic() + budget.wall_s
        self.learner: Any = None
        self.steps = 0

    @property
    def held(self) -> int:
        """Seeds at the end of the training range that are not learned from."""
        first, stop = self.task.train_seeds
        return HELD_OUT if stop - first > 2 * HELD_OUT else 0

    def train(self) -> Any:
        """Learn to the end of the plan, then set what is set on held-out seeds."""
        self.restore()
        source = self.source()
        try:
            with self.run.progress(self.plan.training, f"council {self.task.env_id}") as update:
                update(self.steps)
                while self._goes_on():
                    self._to_checkpoint(source, update)
        finally:
            source.env.close()
        self.calibrate()
        return self.policy

    @abstractmethod
    def source(self) -> Any:
        """Where experience comes from; it has ``env`` and ``begin(rng)``."""

    @abstractmethod
    def begun(self) -> None:
        """The source has begun afresh."""

    @abstractmethod
    def learn(self, source: Any, steps: int) -> None:
        """Learn from up to that many steps of all lanes, and count them."""

    @abstractmethod
    def done(self) -> int:
        """Updates so far."""

    @abstractmethod
    def restore(self) -> None:
        """Go on from the latest checkpoint, if there is one."""

    @abstractmethod
    def calibrate(self) -> None:
        """Set what is set on held-out seeds, and put it on record."""

    def _goes_on(self) -> bool:
        return self.steps < self.plan.training and time.monotonic() < self._end

    def _to_checkpoint(self, source: Any, update: Callable[[float], None]) -> None:
        """Learn from fresh episodes up to the next checkpoint."""
        rng = np.random.default_rng([self.seed, self.steps])
        torch.manual_seed(int(rng.integers(2**63)))
        source.begin(rng)
        self.begun()
        end = self.steps + self.policy.config.checkpoint_every
        while self._goes_on() and self.steps < end:
            left = (self.plan.training - self.steps) // self.plan.lanes
            if not left:
                self.steps = self.plan.training  # less than a step of all lanes
                break
            self.learn(source, min(self.policy.config.stretch, left))
            update(self.steps)
        with self.run.checkpoint_dir(self.steps) as directory:
            self.policy.save(directory)
            facts = {"steps": self.steps, "updates": self.done()}
            write_part(directory, "training", self.learner.tensors(), facts)
