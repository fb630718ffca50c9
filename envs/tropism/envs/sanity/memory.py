"""Memory: recall a cue after a delay."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from tropism.envs.core.single import check_options
from tropism.envs.sanity.base import BLUE, GREY, WHITE, SanityEnv, hit
from tropism.envs.sanity.players import FirstAction, Player
from tropism.limits import within


@dataclass(frozen=True)
class MemoryParams:
    """Sizes of the memory task.

    Attributes:
        cues: different cues, 2 to 16.
        delay: blank steps between the cue and the question, 0 to 1000.
    """

    cues: int = 2
    delay: int = 6

    def __post_init__(self) -> None:
        """Refuse sizes out of range."""
        within("cues", self.cues, 2, 16, integer=True)
        within("delay", self.delay, 0, 1000, integer=True)


class MemoryEnv(SanityEnv):
    """Recall a cue after a delay: an agent without memory stays at chance.

    ## Description

    One of two cues flashes in the first step. Six blank steps follow, then a question mark: the answer must name
    the cue. At the question all episodes look alike, so whatever the agent does must come from its memory.
    Pictures run from left to right: the cue (one row a cue), the blanks, and the question, green if answered right
    and red if not.

    ## Action Space

    `Discrete(2)`: the cue that the agent names. Only the answer to the question counts.

    ## Observation Space

    `Discrete(4)`:

    | value | meaning |
    |-------|---------|
    | 0 | blank |
    | 1, 2 | cue 0, cue 1 |
    | 3 | the question |

    With `cues=n` it is `Discrete(n + 2)`: 0 blank, 1 to n the cues, n + 1 the question.

    ## Rewards

    1 for the right answer to the question, 0 for a wrong one and at every other step.

    ## Starting State

    The cue is drawn uniformly.

    ## Episode End

    Terminates with the answer, after `delay + 2` = 8 steps. No time limit.

    ## Arguments

    | argument | default | range | meaning |
    |----------|---------|-------|---------|
    | `cues` | 2 | 2 to 16 | different cues |
    | `delay` | 6 | 0 to 1000 | blank steps between cue and question |

    ## Reset Options

    | option | range | meaning |
    |--------|-------|---------|
    | `cue` | 0 to `cues - 1` | the cue of this episode |

    ## Reference scores

    Mean return of an episode.

    | player | score | how |
    |--------|-------|-----|
    | random | 0.5 | uniform answers |
    | heuristic | 0.5 | the best player without memory: always cue 0 |
    | oracle | 1.0 | remembers the cue |

    ## Version History

    * v0: first version
    """

    Params = MemoryParams
    params: MemoryParams

    def _spaces(self) -> tuple[spaces.Space[Any], spaces.Space[Any]]:
        return spaces.Discrete(self.params.cues + 2), spaces.Discrete(self.params.cues)

    def _start(self, options: Mapping[str, Any]) -> None:
        chosen = check_options(options, {"cue": (0, self.params.cues - 1)})
        self.cue = chosen.get("cue", self._draw(self.params.cues, 0, 0))

    def _play(self, action: Any) -> tuple[float, bool]:
        if self.t <= self.params.delay:
            return 0.0, False
        return float(action == self.cue), True

    def _see(self) -> np.int64:
        if self.t == 0:
            return np.int64(1 + self.cue)
        return np.int64(self.params.cues + 1 if self.t == self.params.delay + 1 else 0)

    def _picture(self) -> npt.NDArray[np.int64]:
        steps = self.params.delay + 2
        cells = np.full((self.params.cues, steps), GREY)
        cells[:, -1] = WHITE
        cells[self.cue, 0] = BLUE
        cells[:, self.t + 1 :] = 0
        if not self._running:
            cells[:, -1] = hit(self.last_reward)
        return cells

    def _text(self) -> str:
        shown = [f"cue {self.cue}", *["."] * self.params.delay, "?"][: self.t + 1]
        answer = "" if self._running else ("  right" if self.last_reward else "  wrong")
        return " ".join(shown) + answer


class _Remember(Player):
    """Names the last cue seen."""

    def __init__(self, num_lanes: int, params: MemoryParams) -> None:
        super().__init__(num_lanes, params)
        self._cue = np.zeros(num_lanes, np.int64)

    def choose(self, observation: Any) -> npt.NDArray[Any]:
        """Actions, one row a lane."""
        shown = np.asarray(observation)
        is_cue = (shown >= 1) & (shown <= self.params.cues)
        self._cue = np.where(is_cue, shown - 1, self._cue)
        return self._cue.copy()


MemoryEnv.players = {"heuristic": FirstAction, "oracle": _Remember}
