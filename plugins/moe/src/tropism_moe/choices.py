"""What an agent may do, as outputs of a head: logits of every choice there is, or a place in a box."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from gymnasium import spaces
from torch import Tensor
from torch.nn import functional as F

from tropism.errors import UnsupportedTaskError

FloatArray = npt.NDArray[np.float32]


class Choices:
    """The actions of a space.

    Args:
        space: ``Discrete``, ``MultiDiscrete``, or a bounded ``Box``.

    Attributes:
        size: outputs of the head.
        counts: options of each choice; none for a box.

    Raises:
        UnsupportedTaskError: for other spaces.
    """

    def __init__(self, space: spaces.Space[Any]) -> None:
        self.space, self.counts = space, ()
        if isinstance(space, spaces.Discrete):
            self.counts, self._start = (int(space.n),), np.array(int(space.start))
        elif isinstance(space, spaces.MultiDiscrete) and space.nvec.ndim == 1:
            self.counts, self._start = tuple(map(int, space.nvec)), space.start
        elif isinstance(space, spaces.Box) and space.is_bounded():
            self._low, self._high = (np.asarray(end, np.float32) for end in (space.low, space.high))
        else:
            raise UnsupportedTaskError(
                f"actions of {space} cannot be taken: moe answers with Discrete, one axis of MultiDiscrete, or a bounded Box"
            )
        self.size = sum(self.counts) or int(np.prod(space.shape or ()))

    @property
    def first(self) -> int:
        """Of the options of the only choice."""
        return int(self._start)

    def log_probs(self, outputs: Tensor) -> tuple[Tensor, ...]:
        """By choice, ``float[..., count]`` of outputs ``float[..., size]``."""
        return tuple(torch.log_softmax(part, -1) for part in outputs.split(self.counts, -1))

    def loss(self, outputs: Tensor, wanted: Tensor) -> Tensor:
        """How far outputs ``float[..., size]`` are from wanted actions as :meth:`numbers`, ``float[...]``.

        Negative log-likelihood of all choices, nats; of a box half the squared distance, with sides of length 2.
        """
        if not self.counts:
            return (torch.tanh(outputs) - wanted).square().sum(-1) / 2
        pairs = zip(self.log_probs(outputs), wanted.long().unbind(-1), strict=True)
        return torch.stack([-x.gather(-1, w[..., None])[..., 0] for x, w in pairs]).sum(0)

    def divergence(self, teacher: Tensor, student: Tensor) -> Tensor:
        """Kullback-Leibler divergence of the student's choices from the teacher's, ``float[...]``, nats; in a box as :meth:`loss`."""
        if not self.counts:
            return (torch.tanh(teacher) - torch.tanh(student)).square().sum(-1) / 2
        pairs = zip(self.log_probs(teacher), self.log_probs(student), strict=True)
        return torch.stack(
            [F.kl_div(s, t, reduction="none", log_target=True).sum(-1) for t, s in pairs]
        ).sum(0)

    def numbers(self, actions: Any) -> FloatArray:
        """Batched actions as ``float32[B, k]``: options counted from 0, or a place in a box with sides from -1 to 1."""
        if not self.counts:
            flat = np.asarray(actions, np.float32).reshape(len(actions), -1)
            middle, half = (
                (self._high + self._low).ravel() / 2,
                (self._high - self._low).ravel() / 2,
            )
            return ((flat - middle) / np.where(half > 0, half, 1)).astype(np.float32)
        return (np.asarray(actions) - self._start).reshape(len(actions), -1).astype(np.float32)

    def best(self, outputs: FloatArray) -> npt.NDArray[Any]:
        """The likeliest actions, an element of the batched space, of outputs ``float32[B, size]``."""
        if not self.counts:
            unit = np.tanh(outputs).reshape(-1, *(self.space.shape or ()))
            placed = (self._high + self._low) / 2 + unit * (self._high - self._low) / 2
            return placed.astype(self.space.dtype)
        ends = np.cumsum(self.counts)[:-1]
        options = np.stack([part.argmax(1) for part in np.split(outputs, ends, 1)], 1)
        return options.reshape(-1, *(self.space.shape or ())).astype(np.int64) + self._start
