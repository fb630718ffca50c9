"""Actions from the distribution a network gives, with randomness that comes from outside."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium import spaces
from stable_baselines3.common.distributions import Distribution
from torch.distributions import Categorical

FloatArray = npt.NDArray[np.float64]


def unsupported(space: spaces.Space[Any]) -> str | None:
    """Why PPO cannot act in ``space``, or ``None``."""
    if isinstance(space, spaces.MultiBinary) and len(space.shape) == 1:
        return None
    if isinstance(space, spaces.Discrete):
        return (
            None
            if space.start == 0
            else f"actions must be counted from 0, they are from {space.start}"
        )
    if isinstance(space, spaces.MultiDiscrete) and space.nvec.ndim == 1:
        return (
            None
            if not space.start.any()
            else f"actions must be counted from 0, they are from {space.start}"
        )
    if isinstance(space, spaces.Box):
        bounded = np.isfinite(space.low).all() and np.isfinite(space.high).all()
        return None if bounded else "continuous actions must have finite bounds"
    return f"PPO acts in Discrete, MultiDiscrete, MultiBinary and Box spaces, not in {space}"


def noise_size(space: spaces.Space[Any]) -> int:
    """Random numbers one action takes."""
    return int(np.prod(space.shape)) if space.shape else 1


def choose(
    distribution: Distribution, space: spaces.Space[Any], noise: FloatArray | None
) -> tuple[npt.NDArray[Any], npt.NDArray[np.float32] | None]:
    """Actions ``[B, *space.shape]``, and log-probabilities ``float32[B, n]`` for a Discrete space.

    Args:
        distribution: SB3's distribution over actions for ``B`` lanes.
        space: action space of one lane, one for which :func:`unsupported` is ``None``.
        noise: ``[B, k]``, uniform in [0, 1) or (Box) standard normal; ``None`` takes the mode.
    """
    inner: Any = distribution.distribution
    if isinstance(space, spaces.Discrete):
        return _category(inner, None if noise is None else noise[:, 0]), inner.logits.cpu().numpy()
    if isinstance(space, spaces.MultiDiscrete):
        columns = [None] * len(inner) if noise is None else list(noise.T)
        picked = [_category(part, column) for part, column in zip(inner, columns, strict=True)]
        return np.stack(picked, 1), None
    if isinstance(space, spaces.MultiBinary):
        threshold = 0.5 if noise is None else noise
        return (inner.probs.cpu().numpy() > threshold).astype(space.dtype), None
    mean = inner.mean.cpu().numpy().astype(np.float64)
    action = mean if noise is None else mean + inner.stddev.cpu().numpy() * noise
    shaped = action.reshape(len(mean), *space.shape)  # type: ignore[misc]  a Box has a shape
    return np.clip(shaped, space.low, space.high).astype(space.dtype), None  # type: ignore[attr-defined]


def _category(categorical: Categorical, uniform: FloatArray | None) -> npt.NDArray[np.int64]:
    """The most probable category of each lane, or that at quantile ``uniform`` (``[B]``)."""
    if uniform is None:
        return categorical.logits.argmax(1).cpu().numpy()
    cumulative = np.cumsum(categorical.probs.cpu().numpy().astype(np.float64), axis=1)
    chosen = (cumulative <= uniform[:, None] * cumulative[:, -1:]).sum(1)
    return np.minimum(chosen, cumulative.shape[1] - 1)
