"""Stochastic: the best policy is one particular mixed strategy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from tropism.envs.core.single import check_options
from tropism.envs.sanity.base import BLUE, WHITE, NoParams, SanityEnv
from tropism.envs.sanity.players import FirstAction, Mixed

TARGET = (6, 3, 1, 0)
"""The best mix, in tenths.  Far enough from uniform and from any single arm for both to score visibly less."""
_ROWS = 10


class StochasticEnv(SanityEnv):
    """Be unpredictable in the right proportion: the best policy mixes 6 : 3 : 1 : 0.

    ## Description

    Four arms pay a fixed tariff. A rival picks one of the agent's earlier actions of the episode at random, and
    if the agent repeats it now, it pays 1. A mixed strategy `x` over the arms (nothing that is seen tells one step
    from another) then earns `2 p.x - |x|^2 = |p|^2 - |x - p|^2` a step on average, with `p = (.6, .3, .1, 0)`: the
    quadratic score (Brier 1950). Its only maximum is `x = p`, which earns .46; any single arm earns at most .2, the
    uniform mix .25. (An agent with memory can place its actions in the same proportions without chance: over whole
    histories every decision process has a deterministic best policy. The rival draws from the whole episode so
    that this gains little.) Pictures show the best mix in white, the agent's in blue.

    ## Action Space

    `Discrete(4)`: the arm.

    ## Observation Space

    `Discrete(1)`: always 0.

    ## Rewards

    Tariff `2 p[arm]` = 1.2, 0.6, 0.2 or 0, minus 1 if the rival's pick is the same arm. The first step pays 0: the
    rival has nothing to pick from.

    ## Starting State

    No earlier actions.

    ## Episode End

    Never terminates; truncated after 32 steps.

    ## Arguments

    None.

    ## Reset Options

    None.

    ## Reference scores

    Mean return of an episode (31 paid steps).

    | player | score | how |
    |--------|-------|-----|
    | random | 7.75 | uniform |
    | heuristic | 6.2 | the best single arm |
    | oracle | 14.26 | mixes 6 : 3 : 1 : 0 |

    ## Version History

    * v0: first version
    """

    def _spaces(self) -> tuple[spaces.Space[Any], spaces.Space[Any]]:
        return spaces.Discrete(1), spaces.Discrete(len(TARGET))

    def _start(self, options: Mapping[str, Any]) -> None:
        check_options(options, {})
        self.counts = [0] * len(TARGET)

    def _play(self, action: Any) -> tuple[float, bool]:
        arm = int(action)
        reward = 0.0
        if self.t:
            guessed = (
                self._draw(self.t, self.t, 0) < self.counts[arm]
            )  # the rival's pick is this arm
            reward = (2 * TARGET[arm] - 10 * guessed) / 10
        self.counts[arm] += 1
        return reward, False

    def _see(self) -> np.int64:
        return np.int64(0)

    def _picture(self) -> npt.NDArray[np.int64]:
        cells = np.zeros((_ROWS, 3 * len(TARGET)), np.int64)
        for arm, (tenths, count) in enumerate(zip(TARGET, self.counts, strict=True)):
            cells[_ROWS - tenths :, 3 * arm] = WHITE
            cells[_ROWS - round(_ROWS * count / max(self.t, 1)) :, 3 * arm + 1] = BLUE
        return cells

    def _text(self) -> str:
        return f"step {self.t}: arms {self.counts}, best {list(TARGET)} / 10, last reward {self.last_reward:+.2f}"


class _Mix(Mixed):
    """The best mixed strategy."""

    def __init__(self, num_lanes: int, params: NoParams) -> None:  # noqa: ARG002  built like every player
        super().__init__(num_lanes, TARGET)


StochasticEnv.players = {"heuristic": FirstAction, "oracle": _Mix}
