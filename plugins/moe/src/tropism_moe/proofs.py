"""What proved right: the answer that the next observation shows, or an action that was paid more than usual."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tropism.agents.contract import BoolArray, Task
from tropism.envs.patternworld.observation import read
from tropism_moe.choices import Choices


class Proof(NamedTuple):
    """What came of a step of ``B`` lanes.

    Attributes:
        taken: the option that was taken, counted from 0, ``int64[B]``.
        right: the option that proved right, ``int64[B]``; -1 where none did.
        beyond: the reward less the lane's mean before it, ``float64[B]``; 0 at an episode's first step.
    """

    taken: npt.NDArray[np.int64]
    right: npt.NDArray[np.int64]
    beyond: npt.NDArray[np.float64]


class Proofs:
    """Tells what proved right in ``B`` lanes, of a single discrete choice.

    Args:
        choices: of actions.
        tokens: of which the newest in the next observation is the right answer, as :func:`tokens_shown`; 0 where none is.
        lanes: ``B``.
    """

    def __init__(self, choices: Choices, tokens: int, lanes: int) -> None:
        self._choices, self._tokens = choices, tokens
        self._count, self._mean = np.zeros(lanes, np.int64), np.zeros(lanes)

    def reset(self, mask: BoolArray) -> None:
        """Episodes begin in the lanes of ``mask``."""
        self._count[mask], self._mean[mask] = 0, 0.0

    def of(self, action: Any, observation: Any, reward: npt.NDArray[np.float64]) -> Proof:
        """What ``action`` came to, arguments as of :meth:`tropism.agents.contract.Policy.observe`."""
        taken = self._choices.numbers(action)[:, 0].astype(np.int64)
        beyond = np.where(self._count > 0, reward - self._mean, 0.0)
        self._count += 1
        self._mean += (reward - self._mean) / self._count
        right = np.where(beyond > 0, taken, -1)
        if self._tokens:
            shown = read(observation).history[:, -1]
            right = np.where(shown < self._tokens, shown, right)
        return Proof(taken, right, beyond)


def tokens_shown(task: Task) -> int:
    """Of how many tokens the next observation shows the right one: PatternWorld's, but where questions follow them or answers decide."""
    if "tropism/PatternWorld-" not in task.env_id:
        return 0
    env = task.make()
    params = env.unwrapped.params
    env.close()
    return 0 if params.family == "hop" or params.feedback == "closed" else params.vocabulary
