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
from tropism.envs.core.vector import BoolArray, discrete_actions
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

    _ahead: Any = None

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

    def _restart(self, lanes: BoolArray, options: Mapping[str, Any]) -> None:
        """Restart ``lanes``.  In NumPy the next episodes of all lanes are drawn together, some steps ahead."""
        if self._jax:
            super()._restart(lanes, options)
            return
        where = np.flatnonzero(lanes)
        if options or lanes.all():
            forced = {name: array[where] for name, array in self._overrides(options).items()}
            fresh = self._kernel.reset(self._keys[where], self._episodes[where], forced)
        else:
            fresh = self._drawn_ahead(where)
        if (
            self._state is None or lanes.all()
        ):  # copies, because fields of a fresh state share arrays
            self._state = type(fresh)(*(part.copy("K") for part in fresh))
            return
        for old, new in zip(self._state, fresh, strict=True):
            if new.size:
                old[where] = new

    def _drawn_ahead(self, where: npt.NDArray[np.intp]) -> Any:
        """Fresh states of the lanes ``where``, out of a batch that is drawn anew once a lane has used up its own."""
        if self._ahead is None or not self._is_drawn(where):
            following = self._episodes + 1
            following[where] -= 1
            self._ahead = self._kernel.reset(self._keys.copy(), following)
        return type(self._ahead)(*(part[where] if part.size else part for part in self._ahead))

    def _is_drawn(self, where: npt.NDArray[np.intp]) -> bool:
        same = self._ahead.episode[where] == self._episodes[where]
        return bool(same.all() and (self._ahead.key[where] == self._keys[where]).all())

    def _labels(self) -> dict[str, npt.NDArray[Any]]:
        if not self._jax:
            return self._kernel.labels(self._state)
        found = super()._labels()
        return found | {"fitness": found["fitness"].astype(np.float64)}


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
