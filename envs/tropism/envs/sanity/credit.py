"""Credit: the first action decides the last reward."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from tropism.envs.core.single import check_options
from tropism.envs.sanity.base import BLUE, GREY, WHITE, YELLOW, SanityEnv, hit
from tropism.envs.sanity.players import FirstAction, Player
from tropism.limits import within

_NEED, _NOISE = 0, 1  # streams of random numbers


@dataclass(frozen=True)
class CreditParams:
    """Sizes of the credit task.

    Attributes:
        length: steps of an episode, 2 to 1000.
        distraction: size of the rewards in between, in hundredths, 0 to 100.
    """

    length: int = 16
    distraction: int = 10

    def __post_init__(self) -> None:
        """Refuse sizes out of range."""
        within("length", self.length, 2, 1000, integer=True)
        within("distraction", self.distraction, 0, 100, integer=True)


class CreditEnv(SanityEnv):
    """Take the umbrella if it will rain: the first action decides the last reward, distractions in between.

    ## Description

    The forecast says rain or sun. The first action takes an umbrella or leaves it at home; nobody can change it
    later. At the last step the weather comes: +1 if the umbrella matches it, -1 if not. Every step before pays a
    small random reward that has nothing to do with the actions. An agent must credit the outcome to an action
    many steps back. After the umbrella chain of bsuite (Osband et al. 2020, https://arxiv.org/abs/1908.03568),
    except that the observation does not name the umbrella. Pictures show the forecast (blue rain, yellow sun), below it
    the umbrella (white if taken), the steps so far, and at the end green or red.

    ## Action Space

    `Discrete(2)`: 0 leaves the umbrella, 1 takes it. Only the first action counts.

    ## Observation Space

    `Box(-1, 1, (2,), float32)`:

    | index | meaning | unit | range |
    |-------|---------|------|-------|
    | 0 | forecast: 1 rain, -1 sun; shown in the first step, then 0 | | -1 to 1 |
    | 1 | part of the episode that is left | episode | 0 to 1 |

    ## Rewards

    Last step: +1 if the umbrella matches the forecast, -1 otherwise. Every other step: +0.1 or -0.1 at random.

    ## Starting State

    Rain or sun with equal probability.

    ## Episode End

    Terminates after `length` = 16 steps. No time limit.

    ## Arguments

    | argument | default | range | meaning |
    |----------|---------|-------|---------|
    | `length` | 16 | 2 to 1000 | steps of an episode |
    | `distraction` | 10 | 0 to 100 | size of the random rewards, in hundredths |

    ## Reset Options

    | option | range | meaning |
    |--------|-------|---------|
    | `rain` | 0 or 1 | the forecast of this episode |

    ## Reference scores

    Mean return of an episode.

    | player | score | how |
    |--------|-------|-----|
    | random | 0.0 | uniform actions |
    | heuristic | 0.0 | never takes the umbrella |
    | oracle | 1.0 | follows the forecast |

    ## Version History

    * v0: first version
    """

    Params = CreditParams
    params: CreditParams

    def _spaces(self) -> tuple[spaces.Space[Any], spaces.Space[Any]]:
        return spaces.Box(-1.0, 1.0, (2,), np.float32), spaces.Discrete(2)

    def _start(self, options: Mapping[str, Any]) -> None:
        chosen = check_options(options, {"rain": (0, 1)})
        self.rain = chosen.get("rain", self._draw(2, 0, _NEED))
        self.umbrella = 0

    def _play(self, action: Any) -> tuple[float, bool]:
        if self.t == 0:
            self.umbrella = int(action)
        if self.t == self.params.length - 1:
            return (1.0 if self.umbrella == self.rain else -1.0), True
        sign = 2 * self._draw(2, self.t, _NOISE) - 1
        return sign * self.params.distraction / 100, False

    def _see(self) -> npt.NDArray[np.float32]:
        forecast = 2 * self.rain - 1 if self.t == 0 else 0
        return np.array([forecast, 1 - self.t / self.params.length], np.float32)

    def _picture(self) -> npt.NDArray[np.int64]:
        cells = np.zeros((2, self.params.length), np.int64)
        cells[:, : self.t + 1] = GREY
        cells[0, 0] = BLUE if self.rain else YELLOW
        cells[1, 0] = WHITE if self.t and self.umbrella else GREY
        if not self._running:
            cells[:, -1] = hit(self.last_reward)
        return cells

    def _text(self) -> str:
        weather = "rain" if self.rain else "sun"
        taken = "not chosen yet" if self.t == 0 else ("taken" if self.umbrella else "left")
        return f"step {self.t}: forecast {weather}, umbrella {taken}, last reward {self.last_reward:+.2f}"


class _Forecast(Player):
    """Takes the umbrella when rain is forecast."""

    def choose(self, observation: Any) -> npt.NDArray[Any]:
        """Actions, one row a lane."""
        return (np.asarray(observation)[:, 0] > 0).astype(np.int64)


CreditEnv.players = {"heuristic": FirstAction, "oracle": _Forecast}
