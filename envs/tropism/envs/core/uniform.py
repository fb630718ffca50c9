"""The uniform player: the ``random`` baseline of every environment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from tropism.envs.core.baselines import Baseline, LaneRandom
from tropism.errors import OptionError


class UniformBaseline(Baseline):
    """Plays uniformly over the action space, lane by lane, from the seeds of the lanes.

    Args:
        num_lanes: lanes ``B``.
        space: action space of one lane: Discrete, MultiDiscrete, MultiBinary or a bounded Box.

    Raises:
        OptionError: for any other space.
    """

    def __init__(self, num_lanes: int, space: spaces.Space[Any]) -> None:
        super().__init__(num_lanes)
        self._space = space
        self._low, self._sizes = _grid(space)
        self._random = LaneRandom(num_lanes)

    def reset(self, mask: npt.NDArray[np.bool_], seeds: npt.NDArray[np.uint64]) -> None:
        """Restart the lanes of ``mask`` from ``seeds``."""
        self._random.reset(mask, seeds)

    def act(
        self,
        observation: Any,  # noqa: ARG002  chance sees nothing
        info: Any,  # noqa: ARG002  the same
    ) -> tuple[npt.NDArray[Any], npt.NDArray[np.float64] | None]:
        """Actions ``[B, *space.shape]``; log-probabilities ``[B, n]`` over a Discrete space, else ``None``."""
        units = [self._random.words().astype(np.float64) / 2**32 for _ in range(self._low.size)]
        unit = np.stack(units, axis=-1).reshape(self.num_lanes, *self._low.shape)
        span = (
            unit * self._sizes
        )  # [0, size), exact below 2**21 since the unit carries 32 bits of 53
        if not isinstance(self._space, spaces.Box):
            span = np.floor(span)
        action = (self._low + span).astype(self._space.dtype)
        if not isinstance(self._space, spaces.Discrete):
            return action, None
        n = int(self._space.n)
        return action, np.full((self.num_lanes, n), -np.log(n))


def _grid(space: spaces.Space[Any]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Least action and number of values (for a Box: the width), both of the shape of one action."""
    if isinstance(space, spaces.Discrete):
        return np.asarray(space.start, np.float64), np.asarray(space.n, np.float64)
    if isinstance(space, spaces.MultiDiscrete):
        return np.asarray(space.start, np.float64), np.asarray(space.nvec, np.float64)
    if isinstance(space, spaces.MultiBinary):
        shape: Sequence[int] = space.shape
        return np.zeros(shape), np.full(shape, 2.0)
    if (
        isinstance(space, spaces.Box)
        and np.issubdtype(space.dtype, np.floating)
        and space.is_bounded()
    ):
        low, high = space.low.astype(np.float64), space.high.astype(np.float64)
        return low, high - low
    raise OptionError(
        f"a uniform player needs a Discrete, MultiDiscrete, MultiBinary or bounded float Box action space, got {space}"
    )
