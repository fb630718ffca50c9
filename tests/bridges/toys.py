"""A small environment to be served, and comparisons."""

from functools import partial

import gymnasium
import numpy as np
from gymnasium import spaces

import tropism.envs  # noqa: F401 - registers
from tropism.bridges.serve import Server

LOCAL = "tcp://127.0.0.1:0"
once = partial(Server, listen=LOCAL, on_agent_lost="exit")


class Toy(gymnasium.Env):
    """Counts, and does whatever its options of reset say."""

    observation_space = spaces.Dict(
        {"count": spaces.Discrete(100), "pixels": spaces.Box(0, 255, (2, 3, 3), np.uint8)}
    )
    action_space = spaces.Discrete(3)
    render_mode = "rgb_array"

    def __init__(self, limit=5):
        self.limit, self.closed = limit, False
        self.metadata = {"render_modes": ["rgb_array"], "render_fps": 30}

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.count, self.options = 0, options or {}
        return self._observation(), {"seed": seed, "options": options}

    def step(self, action):
        if action == 2:
            raise ZeroDivisionError("two is too many")
        self.count += 1
        info = self.options.get("info", {"array": np.arange(3, dtype=np.int16)})
        return self._observation(), 0.1 * action, self.count == self.limit, False, info

    def render(self):
        return np.full((2, 3, 3), self.count, np.uint8)

    def close(self):
        self.closed = True

    def _observation(self):
        return {"count": self.count, "pixels": self.render()}


def assert_same(one, other):
    if isinstance(one, dict):
        assert list(one) == list(other)
        for key in one:
            assert_same(one[key], other[key])
    else:
        np.testing.assert_array_equal(one, other)
        assert np.asarray(one).dtype == np.asarray(other).dtype
