"""Games that do nothing, so that only the bridge is measured."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces


class NullEnv(gymnasium.Env[Any, Any]):
    """Gives the same observation for ever: 30 floats, with a frame of 84 x 84 x 3 bytes beside them if asked.

    Args:
        frame: whether there is one.
    """

    def __init__(self, frame: bool = False) -> None:
        vector = spaces.Box(-1, 1, (30,), np.float32)
        self.action_space = spaces.Box(-1, 1, (1,), np.float32)
        self.observation_space: Any = vector
        self._seen: Any = np.full(30, 0.5, np.float32)
        if frame:
            picture = spaces.Box(0, 255, (84, 84, 3), np.uint8)
            self.observation_space = spaces.Dict({"frame": picture, "vector": vector})
            self._seen = {"frame": np.full((84, 84, 3), 7, np.uint8), "vector": self._seen}

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begin."""
        super().reset(seed=seed, options=options)
        return self._seen, {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Do nothing."""
        del action
        return self._seen, 0.0, False, False, {}


def framed() -> NullEnv:
    """With a frame."""
    return NullEnv(frame=True)
