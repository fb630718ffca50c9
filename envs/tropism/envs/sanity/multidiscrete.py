"""MultiDiscrete: set several dials of different sizes at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from tropism.envs.core.single import check_options
from tropism.envs.sanity.base import BLUE, GREY, WHITE, SanityEnv, hit
from tropism.envs.sanity.players import Player

DIALS = (2, 3, 5)
"""Positions of each dial."""
_FIRST: npt.NDArray[np.int64] = np.array([0, 2, 5])
"""Index of the first lamp of each dial."""


class MultiDiscreteEnv(SanityEnv):
    """Set three dials of different sizes at once to the positions shown.

    ## Description

    Each step asks for a position of each of three dials with 2, 3 and 5 positions. The request is shown as a
    row of ten lamps, one for each position of each dial; three are lit.
    Pictures show the lamps, and below each dial whether it was set right in the last step (green) or not (red).

    ## Action Space

    `MultiDiscrete([2, 3, 5])`: position of each dial.

    ## Observation Space

    `Box(0, 1, (10,), float32)`:

    | index | meaning | range |
    |-------|---------|-------|
    | 0 to 1 | lamps of the first dial: 1 at the requested position, else 0 | 0 to 1 |
    | 2 to 4 | lamps of the second dial | 0 to 1 |
    | 5 to 9 | lamps of the third dial | 0 to 1 |

    ## Rewards

    Part of the dials that are set right: 0, 1/3, 2/3 or 1.

    ## Starting State

    Positions uniform, drawn afresh in every step.

    ## Episode End

    Never terminates; truncated after 16 steps.

    ## Arguments

    None.

    ## Reset Options

    None.

    ## Reference scores

    Mean return of an episode.

    | player | score | how |
    |--------|-------|-----|
    | random | 5.51 | uniform actions |
    | heuristic | 8.18 | sets the first dial, leaves the others at 0 |
    | oracle | 16.0 | sets all three |

    ## Version History

    * v0: first version
    """

    def _spaces(self) -> tuple[spaces.Space[Any], spaces.Space[Any]]:
        return spaces.Box(0.0, 1.0, (sum(DIALS),), np.float32), spaces.MultiDiscrete(list(DIALS))

    def _start(self, options: Mapping[str, Any]) -> None:
        check_options(options, {})
        self._ask(0)

    def _ask(self, t: int) -> None:
        self.wanted = [self._draw(n, t, dial) for dial, n in enumerate(DIALS)]

    def _play(self, action: Any) -> tuple[float, bool]:
        self.right = [int(a) == w for a, w in zip(action, self.wanted, strict=True)]
        self._ask(self.t + 1)
        return sum(self.right) / len(DIALS), False

    def _see(self) -> npt.NDArray[np.float32]:
        lamps = np.zeros(sum(DIALS), np.float32)
        lamps[_FIRST + np.array(self.wanted)] = 1.0
        return lamps

    def _picture(self) -> npt.NDArray[np.int64]:
        cells = np.zeros((2 * len(DIALS), max(DIALS)), np.int64)
        for dial, (n, wanted) in enumerate(zip(DIALS, self.wanted, strict=True)):
            cells[2 * dial, :n] = GREY
            cells[2 * dial, wanted] = BLUE
        cells[1::2, 0] = [hit(right) for right in self.right] if self.t else WHITE
        return cells

    def _text(self) -> str:
        return f"step {self.t}: dials wanted {self.wanted}, last reward {self.last_reward:.2f}"


def _positions(observation: Any) -> npt.NDArray[np.int64]:
    """Requested positions ``[B, 3]``."""
    lamps = np.asarray(observation)
    return np.stack([lamps[:, f : f + n].argmax(1) for f, n in zip(_FIRST, DIALS, strict=True)], -1)


class _FirstDial(Player):
    """Treats the action as one number: sets the first dial only."""

    def choose(self, observation: Any) -> npt.NDArray[Any]:
        """Actions, one row a lane."""
        return _positions(observation) * np.array([1, 0, 0])


class _AllDials(Player):
    """Sets all three."""

    def choose(self, observation: Any) -> npt.NDArray[Any]:
        """Actions, one row a lane."""
        return _positions(observation)


MultiDiscreteEnv.players = {"heuristic": _FirstDial, "oracle": _AllDials}
