"""PatternWorld's observations as a stream of tokens: what is new in a history, and what is asked."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tropism.envs.patternworld.observation import Seen

MOST_NEW = 10
"""Most tokens that one step adds: the answer, a permutation of eight symbols, a symbol (the Hop tier)."""

IntArray = npt.NDArray[np.int64]


class Tokens(NamedTuple):
    """New tokens of ``B`` lanes, at the end of each row; all ``int64[B, S]`` but ``new``.

    Attributes:
        value: the token, ``V`` where it is masked.
        place: how many tokens of the same step come after it, plus ``MOST_NEW`` where the step has brought more than two.
        query: what is asked after it, 0 if nothing or if the tier asks nothing.
        action: the agent's last answer, ``A`` for none; 0 where it is not told.
        reward: what it was paid, in half points from -1 on: 0 to 4.
        new: whether the place holds a token, ``bool[B, S]``.
    """

    value: IntArray
    place: IntArray
    query: IntArray
    action: IntArray
    reward: IntArray
    new: npt.NDArray[np.bool_]


class Reader:
    """Finds what is new in the histories of ``B`` lanes.

    Args:
        lanes: ``B``.
        masked: the token that stands for nothing, ``V``.
        feedback: tell the stream the last action and reward; without it they are 0, as their token says the same.
    """

    def __init__(self, lanes: int, masked: int, feedback: bool) -> None:
        self.masked, self.feedback = masked, feedback
        self._last: IntArray | None = None
        self._fresh = np.ones(lanes, np.bool_)

    def reset(self, mask: npt.NDArray[np.bool_]) -> None:
        """The lanes of ``mask`` begin an episode."""
        self._fresh = self._fresh | mask

    def read(self, seen: Seen) -> Tokens:
        """The tokens that were not in the last observation."""
        history = seen.history
        count = self._count(history)
        width = int(count.max())
        place = np.broadcast_to(np.arange(width - 1, -1, -1), (len(history), width))
        new = place < count[:, None]
        long = place + MOST_NEW * (count > 2)[:, None]
        self._last, self._fresh = history.copy(), np.zeros(len(history), np.bool_)
        return Tokens(
            history[:, history.shape[1] - width :].copy(),
            np.where(new, long, 0),
            self._at_end(seen.query_k, width),
            self._at_end(seen.prev_action * self.feedback, width),
            self._at_end(self._halves(seen.prev_reward), width),
            new,
        )

    def _count(self, history: IntArray) -> IntArray:
        """How many of the tokens are new, ``int64[B]``, from 1 on."""
        shown = np.clip((history != self.masked).sum(1), 1, MOST_NEW)
        if self._last is None:
            return shown
        count = np.zeros(len(history), np.int64)
        for n in range(1, min(MOST_NEW, history.shape[1] - 1) + 1):
            same = (history[:, :-n] == self._last[:, n:]).all(1)
            count = np.where((count == 0) & same, n, count)
            if count.all():
                break
        return np.where(self._fresh, shown, count.clip(1))

    def _halves(self, reward: npt.NDArray[np.float32]) -> IntArray:
        return np.round((reward + 1) * 2).astype(np.int64) * self.feedback

    @staticmethod
    def _at_end(x: npt.NDArray, width: int) -> IntArray:
        """``[B]`` as the last column of zeros ``[B, width]``."""
        wide = np.zeros((len(x), width), np.int64)
        wide[:, -1] = x
        return wide


def join(steps: list[Tokens]) -> tuple[Tokens, IntArray]:
    """The tokens of several steps as one stretch, without gaps, at the end of each row.

    Returns:
        The tokens, and the column of the last token of every step, ``int64[B, T]``.
    """
    new = np.concatenate([step.new for step in steps], 1)
    order = np.argsort(new, 1, kind="stable")  # gaps first
    width = int(new.sum(1).max())
    parts = [
        np.take_along_axis(np.concatenate(p, 1), order, 1)[:, -width:]
        for p in zip(*steps, strict=True)
    ]
    counts = np.stack([step.new.sum(1) for step in steps], 1)
    ends = width - 1 - (counts.sum(1, keepdims=True) - counts.cumsum(1))
    return Tokens(*parts), ends
