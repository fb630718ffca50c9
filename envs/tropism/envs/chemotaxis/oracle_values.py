"""Exact values of a world that stands still: dynamic programming over a known layout.

While sources neither run out nor move, a life is a shortest-path problem without chance.  Its state is position,
"has reached a good source" and the number of harmful arrivals that the organism would survive.  Arrivals need no
more: standing is no arrival, and whoever *moves* onto a cell was not on its sources before (a push against the
border is standing).

Energy needs no place in the state either.  Clipping at 1 only takes what a full organism cannot use, so after ``t``
steps it has at least ``energy_0 - decay * t``: where ``decay * (steps - 1) < energy_0`` it runs out at the last step
or never.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tropism.envs.chemotaxis.observation import DOWN, LEFT, RIGHT, UP

Counts = npt.NDArray[np.integer]
Values = npt.NDArray[np.float64]
_ALL, _FIRST, _LAST = slice(None), slice(None, -1), slice(1, None)
_MOVES = (
    (UP, (_LAST, _ALL), (_FIRST, _ALL)),
    (DOWN, (_FIRST, _ALL), (_LAST, _ALL)),
    (LEFT, (_ALL, _LAST), (_ALL, _FIRST)),
    (RIGHT, (_ALL, _FIRST), (_ALL, _LAST)),
)
"""Action, the cells (rows, columns) from which the border does not stop it, and the cells it leads to."""


@dataclass(frozen=True)
class Stakes:
    """What a life is about.

    Attributes:
        alive: reward of a step.
        arrival: reward of an arrival at a good source.
        reach: reward of standing on a good source for the first time.
        steps: steps of a life.
        terminate_on_reach: the life ends on reaching a good source.
    """

    alive: float
    arrival: float
    reach: float
    steps: int
    terminate_on_reach: bool = False


def solve(
    good: Counts, harmful: Counts, lives: int, stakes: Stakes
) -> tuple[Values, npt.NDArray[np.int8]]:
    """Iterate values backwards from the last step.

    Args:
        good: good sources on each cell, ``[B, H, W]``.
        harmful: harmful sources on each cell, ``[B, H, W]``.
        lives: harmful arrivals that end a life of full integrity, ``L``.
        stakes: the rewards.

    Returns:
        Values at the first step, ``float64[2, L, B, H, W]``, and best actions, ``int8[steps, 2, L, B, H, W]``, by
        whether a good source was reached and by the harmful arrivals that the organism would survive.  Of
        equally good actions the lowest is taken.
    """
    value = np.zeros((2, lives, *good.shape))
    policy = np.zeros((stakes.steps, *value.shape), np.int8)
    for t in reversed(range(stakes.steps)):
        value = _stand(value, good, stakes)
        enter = _enter(value, good, harmful, stakes)
        _take_best(value, enter, policy[t])
        value += stakes.alive
    return value, policy


def _stand(value: Values, good: Counts, stakes: Stakes) -> Values:
    """Worth of being on a cell after a step, with the reward of a first reach."""
    after = np.zeros_like(value[1]) if stakes.terminate_on_reach else value[1]
    return np.stack([np.where(good > 0, stakes.reach + after, value[0]), after])


def _enter(stand: Values, good: Counts, harmful: Counts, stakes: Stakes) -> Values:
    """Worth of moving onto a cell: its arrivals, and what the harm leaves of the rest."""
    enter = stand.copy()
    cells = np.nonzero(harmful)
    first = np.where(good[cells] > 0, stakes.reach, 0.0)
    dying = np.stack([first, np.zeros_like(first)])
    for left in range(stand.shape[1]):
        after = left - harmful[cells]
        rest = stand[(_ALL, np.maximum(after, 0), *cells)]
        enter[(_ALL, left, *cells)] = np.where(after >= 0, rest, dying)
    return enter + stakes.arrival * good


def _take_best(value: Values, enter: Values, policy: npt.NDArray[np.int8]) -> None:
    """Raise ``value``, that of staying, to that of the best move, and note the move."""
    for action, here, there in _MOVES:
        best, new = value[(..., *here)], enter[(..., *there)]
        policy[(..., *here)][new > best] = action
        np.maximum(best, new, out=best)
