"""A task that counts what an agent does with it while training, for the conformance suite."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

import gymnasium
from gymnasium.vector import VectorEnv, VectorWrapper

from tropism.agents.contract import Task


@dataclass
class Usage:
    """What was used.

    Attributes:
        env_steps: environment steps, summed over lanes.
        seeds: of all resets.
        unseeded: environments whose first reset was given no seed, so that chance decides what they play.
    """

    env_steps: int = 0
    seeds: set[int] = field(default_factory=set)
    unseeded: int = 0

    def note_reset(self, seed: Any, lanes: int, *, first: bool) -> None:
        """Remember the seeds of a reset: an int stands for one a lane, as vectors read it."""
        self.unseeded += first and seed is None
        given = range(seed, seed + lanes) if isinstance(seed, int) else (seed or ())
        self.seeds.update(int(s) for s in given if s is not None)


@dataclass(frozen=True)
class CountingTask(Task):
    """The same task, whose environments report to :attr:`usage`."""

    usage: Usage = field(default_factory=Usage, compare=False)

    @classmethod
    def of(cls, task: Task) -> CountingTask:
        """A counting copy of ``task``."""
        return cls(**{f.name: getattr(task, f.name) for f in fields(Task)})

    def make(self, *, train: bool = False, **overrides: Any) -> Any:
        """One environment, counted."""
        return _CountedEnv(super().make(train=train, **overrides), self.usage)

    def make_vec(
        self, num_envs: int | None = None, *, train: bool = False, **overrides: Any
    ) -> VectorEnv:
        """A vector of environments, counted."""
        return _CountedVector(super().make_vec(num_envs, train=train, **overrides), self.usage)


class _CountedEnv(gymnasium.Wrapper):
    def __init__(self, env: gymnasium.Env, usage: Usage) -> None:
        super().__init__(env)
        self._usage, self._fresh = usage, True

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        self._usage.note_reset(seed, 1, first=self._fresh)
        self._fresh = False
        return self.env.reset(seed=seed, options=options)

    def step(self, action: Any) -> Any:
        self._usage.env_steps += 1
        return self.env.step(action)


class _CountedVector(VectorWrapper):
    def __init__(self, env: VectorEnv, usage: Usage) -> None:
        super().__init__(env)
        self._usage, self._fresh = usage, True

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> Any:
        self._usage.note_reset(seed, self.num_envs, first=self._fresh)
        self._fresh = False
        return self.env.reset(seed=seed, options=options)

    def step(self, actions: Any) -> Any:
        self._usage.env_steps += self.num_envs
        return self.env.step(actions)
