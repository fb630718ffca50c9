"""Lessons: a stronger agent says what it would do, where it goes or where the learner goes.

In some lanes the teacher's actions move the world, in the others the learner's, so that it is taught where its own mistakes lead
(DAgger, Ross et al. 2011, arXiv:1011.0686).  Where answers do not move the world, as in PatternWorld, the teacher plays everywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from gymnasium.vector import AutoresetMode
from torch import Tensor

from tropism.agents.contract import Policy, Task
from tropism.envs.core.wrappers import hidden_keys, visible
from tropism_moe.choices import Choices
from tropism_moe.encoders import Encoder

Player = Callable[[npt.NDArray[np.float32], npt.NDArray[np.bool_]], Any]
"""Takes encoded observations of all lanes, and which of them begin; gives actions."""


class Lesson(NamedTuple):
    """Some steps of all lanes.

    Attributes:
        seen: encoded observations, ``float[B, T, n]``.
        wanted: the teacher's actions, as :meth:`~tropism_moe.choices.Choices.numbers`, ``float[B, T, k]``.
        resets: where an episode begins, ``bool[B, T]``.
    """

    seen: Tensor
    wanted: Tensor
    resets: Tensor


class Lessons:
    """Endless lessons in ``lanes`` lanes, on seeds for training.

    Args:
        task: where.
        teacher: of whom is learned.
        encoder: of observations.
        choices: of actions.
        lanes: how many.
        held_out: seeds at the end of the training range that are not used.
        privileged: the teacher is told the labels.
    """

    def __init__(
        self,
        task: Task,
        teacher: Policy,
        encoder: Encoder,
        choices: Choices,
        lanes: int,
        held_out: int = 0,
        privileged: bool = False,
    ) -> None:
        self.env: Any = task.make_vec(lanes, train=True, autoreset_mode=AutoresetMode.DISABLED)
        self.teacher, self.encoder, self.choices, self.lanes = teacher, encoder, choices, lanes
        first, stop = task.train_seeds
        self._seeds = first, stop - held_out
        self._heard = not moves(task)
        self._hidden = frozenset() if privileged else hidden_keys(self.env)

    @property
    def sizes(self) -> tuple[int, int]:
        """Inputs and outputs of a network that learns here."""
        return self.encoder.size, self.choices.size

    def begin(self, rng: np.random.Generator) -> None:
        """Fresh episodes, of seeds drawn from ``rng``."""
        self._rng = rng
        self._over = np.ones(self.lanes, np.bool_)

    def next(self, steps: int, player: Player) -> Lesson:
        """The next steps.

        Args:
            steps: ``T``.
            player: the learner; plays in every other lane.
        """
        rows = [self._step(player) for _ in range(steps)]
        seen, wanted, resets = (np.stack(part, 1) for part in zip(*rows, strict=True))
        return Lesson(*map(torch.from_numpy, (seen, wanted, resets)))

    def _step(self, player: Player) -> tuple[Any, Any, Any]:
        began = self._over
        if began.any():
            self._reset(began)
        seen = self.encoder(self._observation)
        advice = self.teacher.act(self._observation, self._info).action
        action = advice if self._heard else self._mixed(advice, player(seen, began))
        self._observation, reward, terminated, truncated, info = self.env.step(action)
        self._info = visible(info, self._hidden)
        self.teacher.observe(action, self._observation, reward, terminated, truncated, self._info)
        self._over = terminated | truncated
        return seen, self.choices.numbers(advice), began

    def _reset(self, mask: npt.NDArray[np.bool_]) -> None:
        seeds = self._rng.integers(*self._seeds, self.lanes)
        options = None if mask.all() else {"reset_mask": mask}
        told: Any = [int(s) if m else None for s, m in zip(seeds, mask, strict=True)]
        self._observation, info = self.env.reset(seed=told, options=options)
        self._info = visible(info, self._hidden)
        self.teacher.reset(mask, seeds.astype(np.uint64))

    def _mixed(self, advice: Any, own: Any) -> Any:
        """The teacher's actions in even lanes, the learner's in odd ones."""
        own = np.array(own)
        own[::2] = np.asarray(advice)[::2]
        return own.astype(np.asarray(advice).dtype)


def moves(task: Task) -> bool:
    """Whether actions move the world of a task; those of PatternWorld are answers, unless it closes the loop."""
    answered = "tropism/PatternWorld-" in task.env_id
    return not answered or task.kwargs.get("feedback", "reveal") != "reveal"
