from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

import tropism.envs  # noqa: F401  registers the ids
from tropism.agents.contract import Budget
from tropism.agents.runs import Run


class Pictures(gymnasium.Env):
    """The bright half of a picture names the right action; twelve steps."""

    def __init__(self, side: int = 36, channels_first: bool = False, nested: bool = False):
        self._side, self._first, self._nested = side, channels_first, nested
        shape = (1, side, side) if channels_first else (side, side, 1)
        image = spaces.Box(0, 255, shape, np.uint8)
        both = {"image": image, "speed": spaces.Box(-5.0, 5.0, (2,), np.float32)}
        self.observation_space = spaces.Dict(both) if nested else image
        self.action_space = spaces.Discrete(2)

    def _see(self):
        self._side_lit = int(self.np_random.integers(2))
        image = np.zeros((self._side, self._side, 1), np.uint8)
        half = self._side // 2
        image[:, half * self._side_lit : half * (self._side_lit + 1)] = 255
        image = image.transpose(2, 0, 1) if self._first else image
        return {"image": image, "speed": np.ones(2, np.float32)} if self._nested else image

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._t = 0
        return self._see(), {}

    def step(self, action):
        reward = float(action == self._side_lit)
        self._t += 1
        return self._see(), reward, self._t >= 12, False, {"label": self._side_lit}


class Echo(gymnasium.Env):
    """Any pair of spaces; observations are samples, episodes last five steps and are cut off."""

    def __init__(self, observation_space, action_space):
        self.observation_space, self.action_space = observation_space, action_space

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        if seed is not None:
            self.observation_space.seed(seed)
        self._t = 0
        return self.observation_space.sample(), {}

    def step(self, action):
        assert self.action_space.contains(action), action
        self._t += 1
        return self.observation_space.sample(), 1.0, False, self._t >= 5, {"label": self._t}


@pytest.fixture(autouse=True)
def one_thread():
    """Threads of networks this small wait for each other, and for the other workers of the tests."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture
def register():
    """Register an environment for one test: ``register(maker) -> id``."""
    made = []

    def add(maker, **kwargs):
        name = f"PPOTest/Env{len(made)}-v0"
        gymnasium.register(name, entry_point=maker, kwargs=kwargs, disable_env_checker=True)
        made.append(name)
        return name

    yield add
    for name in made:
        del gymnasium.registry[name]


@pytest.fixture
def train(tmp_path):
    """Train in a new run directory: ``train(agent, task, env_steps) -> policy``."""
    count = iter(range(1000))

    def go(agent, task, env_steps, directory=None, wall_s=None):
        directory = directory or tmp_path / f"run{next(count)}"
        with Run(directory, {"seed": agent.seed}) as run:
            return agent.train(task, Budget(env_steps, wall_s), run)

    return go


@pytest.fixture
def pictures():
    return Pictures


@pytest.fixture
def echo():
    return Echo
