"""Actions of any plain space as a few choices, each one of up to ``V``: the policy is a product of categorical distributions.

``Discrete`` is one choice, ``MultiDiscrete`` and ``MultiBinary`` are several, and every number of a ``Box`` is a choice among
levels from its lower to its upper bound (Tang and Agrawal 2020, arXiv:1901.10500).  So the voices of the council can be fused,
compared and distilled as distributions, whatever they steer.

Shapes: ``F`` choices, ``V`` options of the largest; an option that a choice lacks has a log-probability of about ``-1e9``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from gymnasium import spaces
from torch import Tensor

LEVELS = 11
"""Of a number of a Box; the one in the middle is the middle of its range."""
GRID = 1024
"""Steps that such a number has in the mean of its levels: coarser than what rounding differs by from batch to batch."""
MOST_OPTIONS = 4096
"""Options of all choices together."""
IMPOSSIBLE = -1e9


def unsupported_action(space: spaces.Space[Any]) -> str | None:
    """Why the council cannot act in ``space``, or ``None``."""
    kinds = (spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary, spaces.Box)
    if not isinstance(space, kinds):
        return f"the council acts in Discrete, MultiDiscrete, MultiBinary and Box spaces, not in {space}"
    if isinstance(space, spaces.Box) and not space.is_bounded():
        return (
            f"continuous actions must have finite bounds, they are from {space.low} to {space.high}"
        )
    count = int(_sizes(space).max(initial=0)) * len(_sizes(space))
    if count > MOST_OPTIONS:
        return f"the actions have {count} options, the council chooses among at most {MOST_OPTIONS}"
    return None if count else "there is nothing to choose"


class Choices:
    """Turns options into actions.

    Args:
        space: of one lane, one for which :func:`unsupported_action` gives no reason.

    Attributes:
        count: ``F``.
        width: ``V``.
        legal: which options exist, ``bool[F, V]``.
    """

    def __init__(self, space: spaces.Space[Any]) -> None:
        self.space = space
        sizes = _sizes(space)
        self.count, self.width = len(sizes), int(sizes.max())
        self.legal = torch.arange(self.width) < torch.from_numpy(sizes)[:, None]

    def actions(self, options: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        """A batch of actions, of options ``int64[B, F]``."""
        space = self.space
        if isinstance(space, spaces.Box):
            return self._scaled(options / (LEVELS - 1))
        if isinstance(space, spaces.Discrete):
            return (options[:, 0] + space.start).astype(space.dtype)
        start = space.start if isinstance(space, spaces.MultiDiscrete) else 0
        return (options.reshape(-1, *space.shape) + start).astype(space.dtype)  # type: ignore[misc]  it has a shape

    def best(self, log_probs: Tensor) -> tuple[npt.NDArray[np.int64], npt.NDArray[Any]]:
        """The likeliest options (``int64[B, F]``) of ``float[B, F, V]``, and the actions: of a Box, the means of its levels."""
        options = log_probs.argmax(-1).numpy()
        if not isinstance(self.space, spaces.Box):
            return options, self.actions(options)
        mean = (log_probs.double().exp().numpy() * np.arange(LEVELS)).sum(-1) / (LEVELS - 1)
        return options, self._scaled(np.round(np.clip(mean, 0, 1) * GRID) / GRID)

    def draw(self, log_probs: Tensor, noise: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
        """Options at the quantiles ``float64[B, F]`` in [0, 1), of ``float[B, F, V]``."""
        cumulative = np.cumsum(log_probs.double().exp().numpy(), -1)
        options = (cumulative <= noise[..., None] * cumulative[..., -1:]).sum(-1)
        most = self.legal.sum(-1).numpy() - 1
        return np.minimum(options, most)

    def _scaled(self, part: npt.NDArray[np.float64]) -> npt.NDArray[Any]:
        """Parts of the range, ``float64[B, F]`` in [0, 1], as actions."""
        space = self.space
        assert isinstance(space, spaces.Box)
        low, high = space.low.astype(np.float64), space.high.astype(np.float64)
        action = low + part.reshape(-1, *space.shape) * (high - low)
        if np.issubdtype(space.dtype, np.integer):
            action = np.round(action)
        return np.clip(action, low, high).astype(space.dtype)


def log_prob(log_probs: Tensor, options: Tensor) -> Tensor:
    """Of options ``int64[..., F]`` in ``float[..., F, V]``: ``float[...]``."""
    return log_probs.gather(-1, options[..., None])[..., 0].sum(-1)


def entropy(log_probs: Tensor) -> Tensor:
    """Nats, ``float[...]`` of ``float[..., F, V]``."""
    return -(log_probs.exp() * log_probs).sum((-1, -2))


def divergence(of: Tensor, from_: Tensor) -> Tensor:
    """Kullback-Leibler divergence, nats, ``float[...]`` of ``float[..., F, V]`` each."""
    return (of.exp() * (of - from_)).sum((-1, -2))


def _sizes(space: spaces.Space[Any]) -> npt.NDArray[np.int64]:
    if isinstance(space, spaces.Discrete):
        return np.array([space.n], np.int64)
    if isinstance(space, spaces.MultiDiscrete):
        return space.nvec.ravel().astype(np.int64)
    options = LEVELS if isinstance(space, spaces.Box) else 2
    return np.full(int(np.prod(space.shape or ())), options, np.int64)
