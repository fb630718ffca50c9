"""The agent: tabular Q-learning (Watkins 1989; Sutton and Barto, 2nd ed., section 6.5) over hashed observations."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium.spaces import Discrete
from gymnasium.vector import AutoresetMode

from tropism.agents import Agent, Budget, Run, Task
from tropism.errors import OptionError
from tropism_example.table import Rows, TablePolicy, load_table


@dataclass(frozen=True)
class ExampleConfig:
    """Settings of the example agent; ``tropism train --set name=value`` changes them.

    Attributes:
        learning_rate: step towards the target, in (0, 1].
        discount: of the next value, in [0, 1].
        exploration: share of random actions in training, in [0, 1].
        temperature: of the softmax over values when acting, > 0.
        rows: rows of the table; observations that share a row are taken for one.
        cell: side of the cells that real numbers are binned into, > 0.
        checkpoint_every: environment steps between two checkpoints.
    """

    learning_rate: float = 0.2
    discount: float = 0.95
    exploration: float = 0.3
    temperature: float = 0.02
    rows: int = 4096
    cell: float = 0.5
    checkpoint_every: int = 20_000

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        for name, low, high in (
            ("learning_rate", 1e-9, 1),
            ("discount", 0, 1),
            ("exploration", 0, 1),
        ):
            if not low <= getattr(self, name) <= high:
                raise OptionError(f"{name} must be in [{low}, {high}], got {getattr(self, name)}")
        for name in ("temperature", "rows", "cell", "checkpoint_every"):
            if not getattr(self, name) > 0:
                raise OptionError(f"{name} must be > 0, got {getattr(self, name)}")


class ExampleAgent(Agent):
    """Registered as ``example``; runs on any task with Discrete actions."""

    Config = ExampleConfig
    config: ExampleConfig

    def supports(self, task: Task) -> str | None:
        """Needs one discrete action a step."""
        action = task.spaces()[1]
        return (
            None
            if isinstance(action, Discrete) and action.start == 0
            else f"needs Discrete actions, not {action}"
        )

    def train(self, task: Task, budget: Budget, run: Run) -> TablePolicy:
        """Q-learning within ``budget.env_steps``; begins at the latest checkpoint if there is one."""
        latest = run.latest_checkpoint()
        policy = load_table(latest, task) if latest else self._blank(task)
        done = int(latest.name) if latest else 0
        lanes = max(1, min(task.num_envs, budget.env_steps - done))
        learner = _Learner(task, policy, self.config, lanes, seed=self.seed + done)
        saved = done
        with run.progress(budget.env_steps, "example") as update:
            while done + lanes <= budget.env_steps:
                reward = learner.step()
                done += lanes
                update(done)
                if done - saved >= self.config.checkpoint_every:
                    run.log(done, reward=reward)
                    with run.checkpoint_dir(done) as directory:
                        policy.save(directory)
                    saved = done
        learner.env.close()
        return policy

    @classmethod
    def load(cls, directory: Path, task: Task) -> TablePolicy:
        """The policy saved in ``directory``."""
        return load_table(directory, task)

    def _blank(self, task: Task) -> TablePolicy:
        actions = task.spaces()[1]
        assert isinstance(actions, Discrete)  # supports() says so
        config, values = self.config, np.zeros((self.config.rows, int(actions.n)))
        return TablePolicy(task, values, Rows(config.rows, config.cell), config.temperature)


class _Learner:
    """Steps a vector of environments and moves the values of ``policy`` in place."""

    def __init__(
        self,
        task: Task,
        policy: TablePolicy,
        config: ExampleConfig,
        lanes: int,
        seed: int,
    ) -> None:
        self.values, self.rows_of, self.config = policy.values, policy.rows.of, config
        self.random = np.random.default_rng(seed)
        self.env: Any = task.make_vec(lanes, train=True, autoreset_mode=AutoresetMode.NEXT_STEP)
        first, stop = task.train_seeds
        observation, _ = self.env.reset(
            seed=[first + (seed + lane) % (stop - first) for lane in range(lanes)]
        )
        self.rows = self.rows_of(observation)
        self.ended = np.zeros(lanes, np.bool_)
        self.mean_reward = 0.0

    def step(self) -> float:
        """One step in every lane; returns a running mean of the reward a step."""
        action = self._explore()
        observation, reward, terminated, truncated, _ = self.env.step(action)
        rows = self.rows_of(observation)
        alive = ~self.ended  # the step after an end only resets, its action counts for nothing
        target = reward + self.config.discount * self.values[rows].max(axis=1) * ~terminated
        error = target - self.values[self.rows, action]
        np.add.at(
            self.values, (self.rows[alive], action[alive]), self.config.learning_rate * error[alive]
        )
        self.rows, self.ended = rows, terminated | truncated
        if alive.any():
            self.mean_reward += 0.01 * (float(reward[alive].mean()) - self.mean_reward)
        return self.mean_reward

    def _explore(self) -> npt.NDArray[np.int64]:
        lanes, actions = len(self.rows), self.values.shape[1]
        greedy = (self.values[self.rows] + self.random.uniform(0, 1e-6, (lanes, actions))).argmax(
            axis=1
        )
        anything = self.random.integers(actions, size=lanes)
        return np.where(self.random.random(lanes) < self.config.exploration, anything, greedy)
