"""Observations of any plain space as rows of numbers, in the order of :func:`gymnasium.spaces.utils.flatten`, whole batches at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from gymnasium import spaces
from torch import Tensor, nn

from tropism.errors import UnsupportedTaskError

FloatArray = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]

MOST_NUMBERS = 4096
"""Numbers of one observation: a grey picture of 64 x 64, say.  There are no convolutions here, and a stretch of 64 steps of 64
lanes is held in memory: 64 MiB at this size."""
CLIP = 10.0
"""Normalised numbers are cut at this many deviations."""
EPSILON = 1e-8
"""Added to variances."""


def unsupported_observation(space: spaces.Space[Any]) -> str | None:
    """Why observations of ``space`` cannot be read, or ``None``."""
    for leaf in _leaves(space):
        if not isinstance(
            leaf, (spaces.Box, spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary)
        ):
            return (
                f"the council reads Box, Discrete, MultiDiscrete and MultiBinary observations, and Dict and Tuple "
                f"of them, not {leaf}"
            )
    size = sum(_size(leaf) for leaf in _leaves(space))
    if size > MOST_NUMBERS:
        return (
            f"an observation is {size} numbers, the council reads at most {MOST_NUMBERS} "
            "(it has no convolutions for pictures): shrink it by a wrapper"
        )
    return None if size else "the observations are empty"


class Encoder:
    """Flattens batches of observations.

    Args:
        space: of one lane, one for which :func:`unsupported_observation` gives no reason.

    Attributes:
        size: numbers of an observation, ``n``.
        measured: which of them are of a Box, ``bool[n]``; the others are 0 or 1.
    """

    def __init__(self, space: spaces.Space[Any]) -> None:
        self.space = space
        leaves = _leaves(space)
        self.size = sum(_size(leaf) for leaf in leaves)
        parts = [np.full(_size(leaf), isinstance(leaf, spaces.Box)) for leaf in leaves]
        self.measured: BoolArray = np.concatenate(parts)

    def __call__(self, batch: Any) -> Tensor:
        """A batch of ``B`` observations as ``float32[B, n]``.

        Raises:
            UnsupportedTaskError: if a number is not finite.
        """
        rows = np.concatenate(_encode(self.space, batch), 1, dtype=np.float32)
        if not np.isfinite(rows).all():
            bad = rows[~np.isfinite(rows)][0]
            raise UnsupportedTaskError(
                f"an observation of {self.space} holds {bad}, every number must be finite: mend the environment"
            )
        return torch.from_numpy(rows)

    def one(self, observation: Any) -> Tensor:
        """A single observation as ``float32[1, n]``."""
        return self(_batch_of_one(self.space, observation))


class Running(nn.Module):
    """Mean and variance of all rows so far (Chan et al. 1979), kept with the weights.

    Args:
        measured: numbers that are normalised, ``bool[n]``; the others pass as they are.
    """

    measured: Tensor
    count: Tensor
    mean: Tensor
    square: Tensor

    def __init__(self, measured: BoolArray) -> None:
        super().__init__()
        self.register_buffer("measured", torch.from_numpy(measured), persistent=False)
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))
        for name in ("mean", "square"):
            self.register_buffer(name, torch.zeros(len(measured), dtype=torch.float64))

    def add(self, rows: Tensor) -> None:
        """Take further rows in, ``float[N, n]``."""
        rows = rows.double()
        total, mean = self.count + len(rows), rows.mean(0)
        apart = mean - self.mean
        spread = (rows - mean).square().sum(0)
        self.square += spread + apart.square() * self.count * len(rows) / total
        self.mean += apart * len(rows) / total
        self.count.copy_(total)

    @property
    def deviation(self) -> Tensor:
        """``float64[n]``; 1 before the first row."""
        return (self.square / self.count + EPSILON).sqrt() if self.count else self.square + 1

    def forward(self, rows: Tensor) -> Tensor:
        """Normalised rows, ``float32[N, n]``."""
        normal = ((rows - self.mean) / self.deviation).clamp(-CLIP, CLIP)
        return torch.where(self.measured, normal, rows).float()


# -- details --------------------------------------------------------------------------------------------------


def _leaves(space: spaces.Space[Any]) -> list[spaces.Space[Any]]:
    if isinstance(space, spaces.Dict):
        return [leaf for part in space.spaces.values() for leaf in _leaves(part)]
    if isinstance(space, spaces.Tuple):
        return [leaf for part in space.spaces for leaf in _leaves(part)]
    return [space]


def _size(space: spaces.Space[Any]) -> int:
    if isinstance(space, spaces.Discrete):
        return int(space.n)
    if isinstance(space, spaces.MultiDiscrete):
        return int(space.nvec.sum())
    return int(np.prod(space.shape or ()))


def _encode(space: spaces.Space[Any], batch: Any) -> list[npt.NDArray[Any]]:
    """``float[B, k]`` of every leaf."""
    if isinstance(space, spaces.Dict):
        return [x for key, part in space.spaces.items() for x in _encode(part, batch[key])]
    if isinstance(space, spaces.Tuple):
        return [x for i, part in enumerate(space.spaces) for x in _encode(part, batch[i])]
    rows = np.asarray(batch).reshape(len(batch), -1)
    if isinstance(space, spaces.Discrete):
        return [_one_hot(rows - space.start, np.array([space.n]))]
    if isinstance(space, spaces.MultiDiscrete):
        return [_one_hot(rows - space.start.ravel(), space.nvec.ravel())]
    return [rows]


def _one_hot(digits: npt.NDArray[Any], sizes: npt.NDArray[Any]) -> FloatArray:
    rows = np.zeros((len(digits), int(sizes.sum())), np.float32)
    rows[np.arange(len(digits))[:, None], digits.astype(np.int64) + np.cumsum(sizes) - sizes] = 1
    return rows


def _batch_of_one(space: spaces.Space[Any], observation: Any) -> Any:
    if isinstance(space, spaces.Dict):
        return {key: _batch_of_one(part, observation[key]) for key, part in space.spaces.items()}
    if isinstance(space, spaces.Tuple):
        return tuple(_batch_of_one(p, o) for p, o in zip(space.spaces, observation, strict=True))
    return np.asarray(observation)[None]
