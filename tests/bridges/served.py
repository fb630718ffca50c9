"""Environments that the tests serve in processes of their own, by name."""

import os
import sys
from pathlib import Path

import gymnasium
import numpy as np
from gymnasium import spaces
from tests.bridges.traces import PATIENT

ROOT = str(Path(__file__).parents[2])
CHILD = {"env": {"PYTHONPATH": os.pathsep.join([ROOT, os.environ.get("PYTHONPATH", "")])}}
HERE = "tests.bridges.served"


def options(name, **kwargs):
    """Arguments of a face for something of this module."""
    return {"env_id": f"{HERE}:{name}", "deadlines": PATIENT, **CHILD, **kwargs}


WALK = spaces.Box(-100, 100, (3,), np.float32)


class Zoo(gymnasium.Env):
    """A random walk whose spaces are of many kinds; episodes are short and of random length."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 12}  # noqa: RUF012
    observation_space = spaces.Dict(
        {
            "walk": WALK,
            "pixels": spaces.Box(0, 255, (6, 5, 3), np.uint8),
            "mode": spaces.Discrete(4),
            "flags": spaces.MultiBinary(3),
        }
    )
    action_space = spaces.Box(-1, 1, (3,), np.float32)

    def __init__(self, render_mode=None):
        self.render_mode = render_mode

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.walk, self.left = np.zeros(3, np.float32), int(self.np_random.integers(3, 9))
        return self._see(), {"left": self.left, "array": self.walk.copy()}

    def step(self, action):
        noise = self.np_random.standard_normal(3).astype(np.float32)
        self.walk = np.clip(self.walk + action + noise, -100, 100, dtype=np.float32)
        self.left -= 1
        cut = self.left == 0 and bool(self.np_random.integers(2))
        reward = float(self.walk.sum())
        return self._see(), reward, self.left == 0 and not cut, cut, {"left": self.left}

    def render(self):
        return np.full((6, 5, 3), self.left, np.uint8)

    def _see(self):
        return {
            "walk": self.walk.copy(),
            "pixels": self.np_random.integers(0, 256, (6, 5, 3), np.uint8),
            "mode": np.int64(self.left % 4),
            "flags": self.np_random.integers(0, 2, 3).astype(np.int8),
        }


class Flat(gymnasium.wrappers.TransformObservation):
    """Its walk only, for learners that like plain boxes."""

    def __init__(self, render_mode=None):
        env = Zoo(render_mode)
        super().__init__(env, lambda seen: seen["walk"], WALK)


def plain(render_mode=None):
    """An environment that renders nothing, whatever it is asked for."""
    env = Zoo()
    env.metadata = {"render_modes": []}
    return env


def parallel(**kwargs):
    """Three agents of whom some end earlier than others."""
    from tropism.envs import make_parallel

    return make_parallel("tropism/Chemotaxis-Shared-v0", **kwargs)


def play(env, steps, seed=3):
    """Everything that random play shows."""
    env.action_space.seed(seed)
    shown = [env.reset(seed=seed)]
    for _ in range(steps):
        shown.append(env.step(env.action_space.sample()))
        if shown[-1][2] or shown[-1][3]:
            shown.append(env.reset())
    return shown


if __name__ == "__main__":
    sys.exit("to be imported")
