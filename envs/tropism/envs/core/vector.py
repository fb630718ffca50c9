"""The vector face: a ``gymnasium.vector.VectorEnv`` whose lanes advance together.

Subclasses say how lanes restart, advance and are observed; this class does what Gymnasium 1.4 prescribes for
the three auto-reset modes, lane by lane as ``SyncVectorEnv`` would, for seeds, masks and ``info``.  Returned
arrays are always fresh.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium.error import InvalidAction
from gymnasium.spaces import Space
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from tropism.envs.core.random import seed_key
from tropism.envs.core.single import need_reset
from tropism.errors import UnknownNameError
from tropism.limits import check_number

BoolArray = npt.NDArray[np.bool_]


class InvalidActions(InvalidAction, ValueError):
    """A batch of actions of the wrong count, type or range."""


class LaneVectorEnv(VectorEnv[Any, Any, Any]):
    """Auto-reset, seeding and info of a vector of lanes.

    Args:
        num_envs: lanes ``B``.
        observation_space: of one lane.
        action_space: of one lane.
        autoreset_mode: ``NEXT_STEP`` (default), ``SAME_STEP`` or ``DISABLED``, or its name.
    """

    def __init__(
        self,
        num_envs: int,
        observation_space: Space[Any],
        action_space: Space[Any],
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
    ) -> None:
        check_number("num_envs", num_envs, 1, math.inf, integer=True)
        self.num_envs = num_envs
        self.single_observation_space, self.single_action_space = observation_space, action_space
        self.observation_space = batch_space(observation_space, num_envs)
        self.action_space = batch_space(action_space, num_envs)
        self.metadata = self.metadata | {"autoreset_mode": _mode(autoreset_mode)}
        self._autoreset = self.metadata["autoreset_mode"]
        self._keys = np.zeros((num_envs, 2), np.uint32)
        self._episodes = np.full(num_envs, -1, np.int32)
        self._seeds: list[int] = [-1] * num_envs
        self._ended: BoolArray | None = None

    # -- what a subclass does -------------------------------------------------------------------------------

    @abstractmethod
    def _restart(self, lanes: BoolArray, options: Mapping[str, Any]) -> None:
        """Begin episode ``self._episodes`` of ``self._keys`` in ``lanes``."""

    @abstractmethod
    def _advance(self, actions: Any) -> tuple[npt.NDArray[np.float64], BoolArray, BoolArray]:
        """One step of every lane: fresh ``reward``, ``terminated``, ``truncated``, each [B]."""

    @abstractmethod
    def _observe(self) -> Any:
        """A fresh batched observation of the lanes as they stand."""

    @abstractmethod
    def _labels(self) -> dict[str, npt.NDArray[Any]]:
        """Fresh arrays [B] for ``info``."""

    @abstractmethod
    def _check_actions(self, actions: Any) -> Any:
        """``actions`` as an array, or :class:`InvalidActions`."""

    # -- Gymnasium ------------------------------------------------------------------------------------------

    @property
    def np_random_seed(self) -> tuple[int, ...]:  # type: ignore[override]  one a lane, as SyncVectorEnv has it
        """Seed of each lane; a reset with them repeats the episodes."""
        return tuple(self._seeds)

    def reset(  # type: ignore[override]  a list of seeds too, as SyncVectorEnv takes it
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[Any, dict[str, Any]]:
        """Reset all lanes, or those of ``options["reset_mask"]`` (``bool[B]``).

        Args:
            seed: ``None`` (next episode of each lane), an integer (lane ``i`` gets ``seed + i``), or one entry a
                lane.
            options: as for the single environment; a value may be an array with one entry a lane.
        """
        lanes, options = self._reset_lanes(dict(options or {}))
        self._seed(lanes, self._lane_seeds(seed))
        self._restart(lanes, options)
        self._ended = (
            np.zeros(self.num_envs, np.bool_) if self._ended is None else self._ended & ~lanes
        )
        return self._observe(), _info(self._labels(), lanes)

    def step(
        self, actions: Any
    ) -> tuple[Any, npt.NDArray[np.float64], BoolArray, BoolArray, dict[str, Any]]:
        """Advance every lane; lanes that ended restart as the auto-reset mode says."""
        if self._ended is None:
            raise need_reset("before the first reset()")
        actions = self._check_actions(actions)
        restart = self._ended if self._ended.any() else None
        if restart is not None and self._autoreset is AutoresetMode.DISABLED:
            raise need_reset(
                f"in lanes {np.flatnonzero(restart).tolist()}, whose episodes have ended"
            )
        if restart is not None and restart.all():
            reward = np.zeros(self.num_envs)
            terminated, truncated = np.zeros((2, self.num_envs), np.bool_)
        else:
            reward, terminated, truncated = self._advance(actions)
        if restart is not None:  # NEXT_STEP: this step of those lanes is their reset
            self._next_episode(restart)
            for array in (reward, terminated, truncated):
                array[restart] = 0
        ended = terminated | truncated
        info: dict[str, Any] = {}
        if self._autoreset is AutoresetMode.SAME_STEP:
            if ended.any():
                info = self._final(ended)
                self._next_episode(ended)
        else:
            self._ended = ended
        return self._observe(), reward, terminated, truncated, info | _info(self._labels(), None)

    # -- details --------------------------------------------------------------------------------------------

    def _reset_lanes(self, options: dict[str, Any]) -> tuple[BoolArray, dict[str, Any]]:
        if "reset_mask" not in options:
            return np.ones(self.num_envs, np.bool_), options
        mask = options.pop("reset_mask")
        if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_:
            kind = mask.dtype if isinstance(mask, np.ndarray) else type(mask).__name__
            raise TypeError(f"options['reset_mask'] must be a NumPy array of bool, got {kind}")
        if mask.shape != (self.num_envs,) or not mask.any():
            raise ValueError(
                f"options['reset_mask'] must have shape ({self.num_envs},) and at least one True, got {mask}"
            )
        return mask.copy(), options

    def _lane_seeds(self, seed: int | Sequence[int | None] | None) -> Sequence[int | None]:
        if seed is None:
            return [None] * self.num_envs
        if isinstance(seed, (int, np.integer)):
            return [int(seed) + lane for lane in range(self.num_envs)]
        if len(seed) != self.num_envs:
            raise ValueError(
                f"seed must have one entry for each of the {self.num_envs} lanes, got {len(seed)}"
            )
        return seed

    def _seed(self, lanes: BoolArray, seeds: Sequence[int | None]) -> None:
        """Derive the keys of seeded lanes; count up the episodes of the others."""
        for lane in np.flatnonzero(lanes).tolist():
            seed = seeds[lane]
            if seed is None and self._episodes[lane] >= 0:
                self._episodes[lane] += 1
                continue
            fresh = _fresh_seed() if seed is None else _checked_seed(seed)
            self._seeds[lane], self._keys[lane], self._episodes[lane] = fresh, seed_key(fresh), 0

    def _next_episode(self, lanes: BoolArray) -> None:
        self._episodes[lanes] += 1
        self._restart(lanes, {})

    def _final(self, ended: BoolArray) -> dict[str, Any]:
        """Last observations and infos of the lanes that end in this step."""
        observation = self._observe()
        last = np.full(self.num_envs, None, dtype=object)
        for lane in np.flatnonzero(ended).tolist():
            if isinstance(observation, dict):
                last[lane] = {name: part[lane] for name, part in observation.items()}
            else:
                last[lane] = observation[lane]
        return {
            "final_obs": last,
            "_final_obs": ended.copy(),
            "final_info": _info(self._labels(), ended),
            "_final_info": ended.copy(),
        }


def discrete_actions(actions: Any, num_envs: int, n: int) -> npt.NDArray[np.int64]:
    """A batch of integers in ``[0, n)``.

    Raises:
        InvalidActions: on the wrong shape, type or range; the message names the first lane at fault.
    """
    array = np.asarray(actions)
    if array.shape != (num_envs,) or array.dtype.kind not in "iu":
        raise InvalidActions(
            f"actions must be {num_envs} integers, shape ({num_envs},), got {array.dtype} of shape {array.shape}"
        )
    array = array.astype(np.int64, copy=False)
    if int(array.view(np.uint64).max()) >= n:  # a negative number is a huge unsigned one
        lane = int(np.flatnonzero((array < 0) | (array >= n))[0])
        raise InvalidActions(f"actions must lie in [0, {n}), got {int(array[lane])} in lane {lane}")
    return array


def _fresh_seed() -> int:
    return int(np.random.SeedSequence().generate_state(1, np.uint64)[0])


def _checked_seed(seed: object) -> int:
    """``seed`` as an int; the error is Gymnasium's own, as its single environments raise it."""
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise gymnasium.error.Error(f"a seed must be an integer >= 0, got {seed!r}")
    return int(seed)


def _mode(mode: AutoresetMode | str) -> AutoresetMode:
    if isinstance(mode, AutoresetMode):
        return mode
    names = {m.name: m for m in AutoresetMode} | {m.value: m for m in AutoresetMode}
    if mode not in names:
        raise UnknownNameError("autoreset_mode", str(mode), names)
    return names[mode]


def _info(labels: dict[str, npt.NDArray[Any]], lanes: BoolArray | None) -> dict[str, Any]:
    """Gymnasium's batched info: each array with its mask ``_name``; zero where the mask is false."""
    info: dict[str, Any] = {}
    if lanes is None or lanes.all():
        count = len(next(iter(labels.values()))) if labels else 0
        masks = np.ones((len(labels), count), np.bool_)  # one allocation, a row each
        for mask, (name, array) in zip(masks, labels.items(), strict=True):
            info[name], info["_" + name] = array, mask
        return info
    for name, array in labels.items():
        mask = lanes.reshape(-1, *[1] * (array.ndim - 1))
        info[name], info["_" + name] = np.where(mask, array, np.zeros_like(array)), lanes.copy()
    return info
