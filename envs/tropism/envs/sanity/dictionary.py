"""Dict: an observation in two parts, both of which are needed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from tropism.envs.core.random import bits
from tropism.envs.core.single import check_options
from tropism.envs.sanity.base import BLUE, GREY, WHITE, YELLOW, SanityEnv, hit
from tropism.envs.sanity.players import Player

_RULE, _SIGNAL = 0, 1  # streams of random numbers
_HALF = 5
"""Squares of the picture on either side of a signal of zero."""


class DictEnv(SanityEnv):
    """Obey or oppose a signal: either part of the observation alone is worth nothing.

    ## Description

    Each step shows a signal and a rule. Under rule 0 the right action is the sign of the signal (1 if positive),
    under rule 1 the opposite. The parts are independent, and given either one of them both actions are equally
    likely to be right; only together do they tell. Pictures show the signal as a
    bar, below it the rule (white obey, yellow oppose) and the outcome of the last action (green right, red wrong).

    ## Action Space

    `Discrete(2)`: 0 for negative, 1 for positive (under rule 0).

    ## Observation Space

    `Dict`:

    | key | space | meaning | range |
    |-----|-------|---------|-------|
    | `rule` | `Discrete(2)` | 0 obey the signal, 1 oppose it | 0 to 1 |
    | `signal` | `Box(-1, 1, (1,), float32)` | its sign matters, its size does not | -1 to 1 |

    ## Rewards

    1 for the right action, 0 for the wrong one.

    ## Starting State

    Rule and signal uniform, drawn afresh in every step.

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
    | random | 8.0 | uniform actions |
    | heuristic | 8.0 | obeys the signal, blind to the rule |
    | oracle | 16.0 | reads both |

    ## Version History

    * v0: first version
    """

    def _spaces(self) -> tuple[spaces.Space[Any], spaces.Space[Any]]:
        return spaces.Dict(
            {"rule": spaces.Discrete(2), "signal": spaces.Box(-1.0, 1.0, (1,), np.float32)}
        ), spaces.Discrete(2)

    def _start(self, options: Mapping[str, Any]) -> None:
        check_options(options, {})
        self._show(0)

    def _show(self, t: int) -> None:
        self.rule = self._draw(2, t, _RULE)
        # Odd 24-bit numbers over 2**24: exact in float32, symmetric, never zero.
        self.signal = (2 * (bits(self._words, t, _SIGNAL) >> 8) + 1 - 2**24) / 2**24

    @property
    def right_action(self) -> int:
        """The action that earns 1 now."""
        return int(self.signal > 0) ^ self.rule

    def _play(self, action: Any) -> tuple[float, bool]:
        reward = float(action == self.right_action)
        self._show(self.t + 1)
        return reward, False

    def _see(self) -> dict[str, Any]:
        return {"rule": np.int64(self.rule), "signal": np.array([self.signal], np.float32)}

    def _picture(self) -> npt.NDArray[np.int64]:
        cells = np.full((3, 2 * _HALF + 1), GREY)
        tip = _HALF + round(self.signal * _HALF)
        cells[0, min(tip, _HALF) : max(tip, _HALF) + 1] = BLUE
        cells[1] = YELLOW if self.rule else WHITE
        cells[2] = hit(self.last_reward) if self.t else GREY
        return cells

    def _text(self) -> str:
        rule = "oppose" if self.rule else "obey"
        return f"step {self.t}: {rule} {self.signal:+.2f}, last reward {self.last_reward:.0f}"


class _Obey(Player):
    """Blind to the rule."""

    def choose(self, observation: Any) -> npt.NDArray[Any]:
        """Actions, one row a lane."""
        return (observation["signal"][:, 0] > 0).astype(np.int64)


class _Both(Player):
    """Reads both parts."""

    def choose(self, observation: Any) -> npt.NDArray[Any]:
        """Actions, one row a lane."""
        return (observation["signal"][:, 0] > 0).astype(np.int64) ^ observation["rule"]


DictEnv.players = {"heuristic": _Obey, "oracle": _Both}
