"""Running mean and variance of observations, kept with the agent and applied whenever it acts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium import spaces
from stable_baselines3.common.vec_env import VecNormalize

from tropism_ppo.encoding import is_image

CLIP = 10.0
"""Normalised observations are clipped to this many deviations (the default of SB3's ``VecNormalize``)."""
EPSILON = 1e-8
"""Added to the variance (likewise)."""
WHOLE = ""
"""Key under which the statistics of an observation that is no dictionary are kept."""

Statistics = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], float]
"""Mean, variance and count."""


@dataclass(frozen=True)
class Normalization:
    """Statistics by observation key; without any, observations pass unchanged.

    Attributes:
        statistics: key of a dictionary observation (or :data:`WHOLE`) -> mean, variance, count.
    """

    statistics: dict[str, Statistics] = field(default_factory=dict)

    def __call__(self, observation: Any) -> Any:
        """Normalise a batch of encoded observations."""
        if not self.statistics:
            return observation
        if isinstance(observation, dict):
            return {key: self._apply(key, part) for key, part in observation.items()}
        return self._apply(WHOLE, observation)

    def _apply(self, key: str, batch: npt.NDArray[Any]) -> npt.NDArray[Any]:
        if key not in self.statistics:
            return batch
        mean, variance, _ = self.statistics[key]
        scaled = np.clip((batch - mean) / np.sqrt(variance + EPSILON), -CLIP, CLIP)
        return scaled.astype(np.float32)

    def tensors(self) -> dict[str, npt.NDArray[np.float64]]:
        """The statistics as named arrays, for a file."""
        named = {}
        for key, (mean, variance, count) in self.statistics.items():
            named[f"normalization.mean.{key}"] = np.ascontiguousarray(mean)
            named[f"normalization.var.{key}"] = np.ascontiguousarray(variance)
            named[f"normalization.count.{key}"] = np.array([count])
        return named

    @classmethod
    def from_tensors(cls, named: dict[str, Any]) -> Normalization:
        """The inverse of :meth:`tensors`; other names are left alone."""
        head = "normalization.mean."
        keys = [name.removeprefix(head) for name in named if name.startswith(head)]
        parts = ("mean", "var", "count")
        read = {key: [named[f"normalization.{part}.{key}"] for part in parts] for key in keys}
        return cls({key: (mean, var, float(count[0])) for key, (mean, var, count) in read.items()})

    @classmethod
    def of(cls, venv: Any) -> Normalization:
        """What ``venv`` has gathered, if it is a ``VecNormalize`` that normalises observations."""
        if not isinstance(venv, VecNormalize) or not venv.norm_obs:
            return cls()
        found = venv.obs_rms if isinstance(venv.obs_rms, dict) else {WHOLE: venv.obs_rms}
        return cls(
            {k: (rms.mean.copy(), rms.var.copy(), float(rms.count)) for k, rms in found.items()}
        )

    def restore(self, venv: Any) -> None:
        """Put the statistics back into ``venv``, so that it goes on gathering."""
        for key, (mean, variance, count) in self.statistics.items():
            rms = venv.obs_rms[key] if key != WHOLE else venv.obs_rms
            rms.mean, rms.var, rms.count = mean.copy(), variance.copy(), count


def wrap(venv: Any, *, observation: bool, reward: bool, gamma: float) -> Any:
    """Wrap ``venv`` to gather and apply statistics; images are left as they are."""
    space = venv.observation_space
    keys = None
    if isinstance(space, spaces.Dict):
        keys = [key for key, part in space.spaces.items() if not is_image(part)]
        observation = observation and bool(keys)
    elif is_image(space):
        observation = False
    if not (observation or reward):
        return venv
    return VecNormalize(
        venv,
        norm_obs=observation,
        norm_reward=reward,
        norm_obs_keys=keys if observation else None,
        gamma=gamma,
        clip_obs=CLIP,
        epsilon=EPSILON,
    )
