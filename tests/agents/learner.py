"""A small agent that keeps the contract, for tests to break one clause at a time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from gymnasium.spaces import Discrete
from gymnasium.vector import AutoresetMode

from tropism.agents.contract import Agent, Decision, Policy
from tropism.envs.core.baselines import LaneRandom
from tropism.errors import ArtifactError


@dataclass(frozen=True)
class Config:
    rate: float = 0.5
    sizes: tuple[int, ...] = (2, 3)


class LearnerPolicy(Policy):
    """Samples from fixed preferences, one row an observation, with the lanes' own randomness."""

    def __init__(self, preferences):
        self.preferences = preferences
        self.random = LaneRandom(0)

    def reset(self, mask, seeds):
        if len(self.random.words()) != len(mask):
            self.random = LaneRandom(len(mask))
        self.random.reset(mask, seeds)

    def act(self, observation, info, gate=None):
        log_probs = self.preferences[np.asarray(observation)]
        unit = self.random.words() / 2**32
        action = (np.exp(log_probs).cumsum(axis=1) < unit[:, None]).sum(axis=1)
        action = np.minimum(action, log_probs.shape[1] - 1)
        return Decision(action, np.ones(len(action), np.int64), log_probs)

    def save(self, directory):
        np.savez(directory / "weights.npz", allow_pickle=False, preferences=self.preferences)


class LearnerAgent(Agent):
    """Averages the reward of each action in each observation, for Discrete spaces."""

    Config = Config
    policy_class = LearnerPolicy

    def supports(self, task):
        spaces = task.spaces()
        return (
            None
            if all(isinstance(space, Discrete) for space in spaces)
            else f"Discrete spaces only, not {spaces}"
        )

    def train(self, task, budget, run):
        observations, actions = (int(space.n) for space in task.spaces())
        rng = np.random.default_rng(self.seed)
        gain = np.zeros((observations, actions))
        env = task.make_vec(4, train=True, autoreset_mode=AutoresetMode.NEXT_STEP)
        observation, _ = env.reset(seed=self.first_seed(task))
        for _ in range(self.vector_steps(budget)):
            action = rng.integers(actions, size=4)
            after, reward, *_ = env.step(action)
            np.add.at(gain, (observation, action), self.config.rate * reward)
            observation = after
        env.close()
        run.log(budget.env_steps, gain=gain.sum())
        log_probs = gain - np.log(np.exp(gain).sum(axis=1, keepdims=True))
        return self.policy_class(log_probs.astype(np.float32))

    def first_seed(self, task):
        return task.train_seeds[0]

    def vector_steps(self, budget):
        return budget.env_steps // 4

    @classmethod
    def load(cls, directory, task):
        try:
            with np.load(directory / "weights.npz", allow_pickle=False) as file:
                return cls.policy_class(file["preferences"])
        except (OSError, ValueError) as error:
            raise ArtifactError(f"{directory} holds no weights: {error}") from error
