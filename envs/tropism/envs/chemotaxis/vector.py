"""The vector face of Chemotaxis: lanes of the array kernel, in NumPy or JAX."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium.vector import AutoresetMode

from tropism.envs.chemotaxis.kernel_worlds import make_kernel
from tropism.envs.chemotaxis.levels import make_params
from tropism.envs.chemotaxis.observation import (
    LABELS,
    MOVES,
    action_space,
    labels,
    observation_space,
)
from tropism.envs.chemotaxis.options import read_options
from tropism.envs.chemotaxis.params import Params
from tropism.envs.core.kernel_vector import KernelVectorEnv
from tropism.envs.core.vector import discrete_actions
from tropism.errors import OptionError


class ChemotaxisVectorEnv(KernelVectorEnv):
    """Lanes of one level.

    Args:
        num_envs: lanes.
        params: of the world; ``max_episode_steps`` truncates.
        autoreset_mode: a ``gymnasium.vector.AutoresetMode`` or its name.
        backend: ``"numpy"``, or ``"jax"`` for the jitted kernel.
    """

    metadata = {"render_modes": [], "labels": LABELS}  # noqa: RUF012  as Gymnasium types it

    def __init__(
        self, num_envs: int, params: Params, autoreset_mode: AutoresetMode | str, backend: str
    ) -> None:
        self.params = params
        self.metadata = self.metadata | {"labels": labels(params)}
        super().__init__(num_envs, observation_space(params), action_space(params), autoreset_mode)
        self._use(lambda xp: make_kernel(xp, params), backend)

    def _check_actions(self, actions: Any) -> npt.NDArray[np.int64]:
        return discrete_actions(actions, self.num_envs, len(MOVES))

    def _overrides(self, options: Mapping[str, Any]) -> dict[str, npt.NDArray[np.int32]]:
        return read_options(self.params, options, self.num_envs)

    def _labels(self) -> dict[str, npt.NDArray[Any]]:
        found = super()._labels()
        return found | {"fitness": found["fitness"].astype(np.float64, copy=False)}


def make_vector(
    num_envs: int = 1,
    level: str = "L0.2",
    max_episode_steps: int | None = None,
    autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
    backend: str = "numpy",
    render_mode: str | None = None,
    **overrides: Any,
) -> ChemotaxisVectorEnv:
    """The vector entry point of every ``tropism/Chemotaxis-*`` id.

    Args:
        num_envs: lanes.
        level: name of the level.
        max_episode_steps: steps until truncation; ``None`` or -1 for no limit.
        autoreset_mode: a ``gymnasium.vector.AutoresetMode`` or its name.
        backend: ``"numpy"``, or ``"jax"`` for the jitted kernel.
        render_mode: must be ``None``: make a single environment to look at.
        overrides: fields of :class:`~tropism.envs.chemotaxis.params.Params`.
    """
    if render_mode is not None:
        raise OptionError(
            f"render_mode must be None in a vector environment, got {render_mode!r}: use gym.make"
        )
    params = make_params(level, max_episode_steps=max_episode_steps, **overrides)
    return ChemotaxisVectorEnv(num_envs, params, autoreset_mode, backend)
