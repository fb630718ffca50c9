"""Training episodes, many side by side: what was shown, and what was then revealed to be right."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from gymnasium.vector import AutoresetMode
from torch import Tensor

from tropism.agents.contract import Task
from tropism.envs.patternworld.observation import read
from tropism_council.tokens import Reader, Tokens, join


class Stretch(NamedTuple):
    """Some steps of all lanes.

    Attributes:
        tokens: what was shown.
        asked: the column of the last token of every step, ``int64[B, T]``.
        answers: what was revealed to be right, ``int64[B, T]``; -1 where it was not.
    """

    tokens: Tokens
    asked: Tensor
    answers: Tensor


class Episodes:
    """Endless training episodes of ``lanes`` lanes: what was shown, and what was then revealed; never a label.

    Args:
        task: where, with feedback ``reveal``.
        lanes: how many.
        masked: the token that stands for nothing.
        held_out: seeds at the end of the training range that are not used.
    """

    def __init__(self, task: Task, lanes: int, masked: int, held_out: int) -> None:
        self.env: Any = task.make_vec(lanes, train=True, autoreset_mode=AutoresetMode.DISABLED)
        first, stop = task.train_seeds
        self._seeds = first, stop - held_out
        self._masked, self._lanes = masked, lanes

    def begin(self, rng: np.random.Generator) -> None:
        """Fresh episodes, of seeds drawn from ``rng``."""
        self._rng = rng
        self._reader = Reader(self._lanes, self._masked, False)
        self._pending = self._reset()

    def next(self, steps: int) -> tuple[Stretch, bool]:
        """Up to ``steps`` steps, until the episodes end; and whether they begin with it."""
        if self._done:  # episodes of one task are equally long
            self._pending = self._reset()
        began, self._began = self._began, False
        shown, answers = [], []
        while len(shown) < steps and not self._done:
            shown.append(self._pending)
            self._pending = self._step()
            answers.append(_first_new(self._pending, self._masked))
        tokens, asked = join(shown)
        return Stretch(
            tokens, torch.from_numpy(asked), torch.from_numpy(np.stack(answers, 1))
        ), began

    def _reset(self) -> Tokens:
        seeds = self._rng.integers(*self._seeds, self._lanes).tolist()
        observation, _ = self.env.reset(seed=seeds)
        self._reader.reset(np.ones(self._lanes, np.bool_))
        self._done, self._began = False, True
        return self._reader.read(read(observation))

    def _step(self) -> Tokens:
        observation, _, terminated, truncated, _ = self.env.step(np.zeros(self._lanes, np.int64))
        self._done = bool((terminated | truncated).any())
        return self._reader.read(read(observation))


def _first_new(tokens: Tokens, masked: int) -> np.ndarray:
    """The answer that a step revealed: the first of its new tokens; -1 where it is masked."""
    first = tokens.value[np.arange(len(tokens.new)), tokens.new.argmax(1)]
    return np.where(first == masked, -1, first)
