"""Continuous: move a point to a goal with a continuous action."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from tropism.envs.core.random import bits
from tropism.envs.core.single import check_options
from tropism.envs.sanity.base import BLUE, GREEN, GREY, YELLOW, SanityEnv
from tropism.envs.sanity.players import Player
from tropism.limits import within

_SIZE = 9
"""Squares of a side of the picture."""


@dataclass(frozen=True)
class ContinuousParams:
    """Constants of the point.

    Attributes:
        speed: longest move of a step along an axis, in hundredths, 1 to 100.
    """

    speed: int = 25

    def __post_init__(self) -> None:
        """Refuse a speed out of range."""
        within("speed", self.speed, 1, 100, integer=True)


class ContinuousEnv(SanityEnv):
    """Move a point onto a goal: the size of the action matters, not only its sign.

    ## Description

    A point and a goal lie in the square from -1 to 1. Each step moves the point by `speed / 100` times the action,
    no further than the border. Full speed in the right direction overshoots: the last move must be shorter. Pictures
    show the goal in yellow, the point in blue, and green where they share a square.

    ## Action Space

    `Box(-1, 1, (2,), float32)`: velocity along x and y, in parts of the full speed.

    ## Observation Space

    `Box(-1, 1, (4,), float32)`:

    | index | meaning | unit | range |
    |-------|---------|------|-------|
    | 0, 1 | x and y of the point | half side | -1 to 1 |
    | 2, 3 | x and y of the goal | half side | -1 to 1 |

    ## Rewards

    `1 - (|dx| + |dy|) / 2` after the move, from -1 (opposite corners) to 1 (on the goal).

    ## Starting State

    Point and goal uniform in the square.

    ## Episode End

    Never terminates; truncated after 16 steps.

    ## Arguments

    | argument | default | range | meaning |
    |----------|---------|-------|---------|
    | `speed` | 25 | 1 to 100 | longest move of a step along an axis, in hundredths |

    ## Reset Options

    None.

    ## Reference scores

    Mean return of an episode.

    | player | score | how |
    |--------|-------|-----|
    | random | 5.05 | uniform actions |
    | heuristic | 13.25 | full speed towards the goal along both axes |
    | oracle | 14.97 | as fast as possible without overshooting |

    ## Version History

    * v0: first version
    """

    Params = ContinuousParams
    params: ContinuousParams

    def _spaces(self) -> tuple[spaces.Space[Any], spaces.Space[Any]]:
        return spaces.Box(-1.0, 1.0, (4,), np.float32), spaces.Box(-1.0, 1.0, (2,), np.float32)

    def _start(self, options: Mapping[str, Any]) -> None:
        check_options(options, {})
        units = [bits(self._words, i, 0) / 2**31 - 1 for i in range(4)]
        self.point, self.goal = np.array(units[:2]), np.array(units[2:])

    def _play(self, action: Any) -> tuple[float, bool]:
        move = np.asarray(action, np.float64) * self.params.speed / 100
        self.point = np.clip(self.point + move, -1.0, 1.0)
        return 1.0 - float(np.abs(self.goal - self.point).sum()) / 2, False

    def _see(self) -> npt.NDArray[np.float32]:
        return np.concatenate([self.point, self.goal]).astype(np.float32)

    def _picture(self) -> npt.NDArray[np.int64]:
        cells = np.full((_SIZE, _SIZE), GREY)
        goal, point = self._square(self.goal), self._square(self.point)
        cells[goal] = YELLOW
        cells[point] = GREEN if goal == point else BLUE
        return cells

    def _square(self, place: npt.NDArray[np.float64]) -> tuple[int, int]:
        x, y = np.minimum((place + 1) / 2 * _SIZE, _SIZE - 1).astype(int)
        return _SIZE - 1 - int(y), int(x)  # y points up

    def _text(self) -> str:
        point, goal = self.point.round(2).tolist(), self.goal.round(2).tolist()
        return f"step {self.t}: point {point}, goal {goal}, last reward {self.last_reward:+.2f}"


class _FullSpeed(Player):
    """Knows the direction but not the distance: always full speed."""

    def choose(self, observation: Any) -> npt.NDArray[Any]:
        """Velocities ``float32[B, 2]``."""
        place = np.asarray(observation)
        return np.sign(place[:, 2:] - place[:, :2])


class _Straight(Player):
    """The whole distance, or as much of it as a step allows: the best along each axis, so the best."""

    def choose(self, observation: Any) -> npt.NDArray[Any]:
        """Velocities ``float32[B, 2]``."""
        place = np.asarray(observation)
        wish = (place[:, 2:] - place[:, :2]) * np.float32(100 / self.params.speed)
        return np.clip(wish, -1.0, 1.0)


ContinuousEnv.players = {"heuristic": _FullSpeed, "oracle": _Straight}
