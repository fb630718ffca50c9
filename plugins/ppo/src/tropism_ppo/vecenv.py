"""A native Stable-Baselines3 ``VecEnv`` over any ``gymnasium.vector.VectorEnv``.

SB3 steps its environments one by one in Python; a vector environment steps them all in one call.  This class
joins the two: arrays pass through, and only lanes whose episode has just ended cost Python.  Episode statistics
are counted here, so neither ``Monitor`` nor ``VecMonitor`` is needed.  What is in ``info`` beyond an episode's
end is dropped, hence no label can reach a policy.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv
from stable_baselines3.common.env_util import is_wrapped
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import VecEnv

from tropism.errors import OptionError


class NativeVecEnv(VecEnv):
    """``B`` lanes of a vector environment in SAME_STEP auto-reset, as SB3 wants them.

    A finished lane has ``infos[i]["terminal_observation"]``, ``["TimeLimit.truncated"]`` and (unless switched
    off) ``["episode"] = {"r": return, "l": length, "t": seconds}``; other lanes have an empty dictionary.

    Args:
        vector_env: any ``gymnasium.vector.VectorEnv``, of Tropism or not, with SAME_STEP auto-reset.
        encode: applied to every batch of observations; none by default.
        space: observation space of one lane after ``encode``; the environment's own by default.
        episode_statistics: count returns and lengths, and answer for ``Monitor``; switch it off to use
            ``VecMonitor`` instead.

    Raises:
        OptionError: for another auto-reset mode.
    """

    def __init__(
        self,
        vector_env: VectorEnv[Any, Any, Any],
        encode: Callable[[Any], Any] | None = None,
        space: spaces.Space[Any] | None = None,
        *,
        episode_statistics: bool = True,
    ) -> None:
        mode = vector_env.metadata.get("autoreset_mode")
        if mode is not AutoresetMode.SAME_STEP:
            raise OptionError(
                f"autoreset_mode must be AutoresetMode.SAME_STEP, got {mode}: other modes put transitions that "
                "never happened into the rollout; make the vector with autoreset_mode=AutoresetMode.SAME_STEP"
            )
        self.vector_env = vector_env
        self._encode = encode
        self._episode_statistics = episode_statistics
        self._returns = np.zeros(vector_env.num_envs)
        self._lengths = np.zeros(vector_env.num_envs, np.int64)
        self._started = time.monotonic()
        self._actions: Any = None
        super().__init__(
            vector_env.num_envs,
            space or vector_env.single_observation_space,
            vector_env.single_action_space,
        )

    # -- playing --------------------------------------------------------------------------------------------

    def set_seeds(self, seeds: Sequence[int]) -> None:
        """Seed each lane, one number a lane, at the next reset (:meth:`seed` counts up from one number)."""
        if len(seeds) != self.num_envs:
            raise OptionError(f"seeds must hold {self.num_envs} numbers, got {len(seeds)}")
        self._seeds = [int(seed) for seed in seeds]

    def reset(self) -> Any:
        """Begin an episode in every lane, with the seeds and options set before; returns the observations."""
        options = self._options[0] or None
        if any(other != self._options[0] for other in self._options):
            raise OptionError("a vector environment takes one set of reset options for all lanes")
        seeds: Any = self._seeds if None not in self._seeds else None
        observation, _ = self.vector_env.reset(seed=seeds, options=options)
        self._reset_seeds()
        self._reset_options()
        self._returns[:], self._lengths[:] = 0.0, 0
        return observation if self._encode is None else self._encode(observation)

    def step_async(self, actions: npt.NDArray[Any]) -> None:
        """Take ``actions`` (``B`` lanes first); :meth:`step_wait` plays them."""
        self._actions = actions

    def step_wait(
        self,
    ) -> tuple[Any, npt.NDArray[np.float32], npt.NDArray[np.bool_], list[dict[str, Any]]]:
        """Observations, rewards ``float32[B]``, dones ``bool[B]`` and infos of the step."""
        observation, reward, terminated, truncated, info = self.vector_env.step(self._actions)
        done = terminated | truncated
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        if self._episode_statistics:
            self._returns += reward
            self._lengths += 1
        if done.any():
            self._finish(np.flatnonzero(done).tolist(), infos, terminated, info["final_obs"])
        if self._encode is not None:
            observation = self._encode(observation)
        return observation, np.asarray(reward, np.float32), done, infos

    def _finish(
        self, lanes: list[int], infos: list[dict[str, Any]], terminated: Any, final: Any
    ) -> None:
        """Fill the infos of ``lanes``, whose episodes have just ended."""
        elapsed = round(time.monotonic() - self._started, 6)
        for lane in lanes:
            infos[lane]["terminal_observation"] = self._encode_one(final[lane])
            infos[lane]["TimeLimit.truncated"] = not terminated[lane]
            if self._episode_statistics:
                total, length = float(self._returns[lane]), int(self._lengths[lane])
                infos[lane]["episode"] = {"r": total, "l": length, "t": elapsed}
        self._returns[lanes], self._lengths[lanes] = 0.0, 0

    def _encode_one(self, observation: Any) -> Any:
        if self._encode is None:
            return observation
        if isinstance(observation, dict):
            batch = self._encode({key: np.asarray(part)[None] for key, part in observation.items()})
        else:
            batch = self._encode(np.asarray(observation)[None])
        return (
            {key: part[0] for key, part in batch.items()} if isinstance(batch, dict) else batch[0]
        )

    def close(self) -> None:
        """Close the vector environment."""
        self.vector_env.close()

    # -- looking inside -------------------------------------------------------------------------------------
    # SyncVectorEnv holds one environment a lane, which answers for itself.  A vector class that has none
    # answers once for all lanes.

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """The attribute of each lane in ``indices`` (all by default)."""
        lanes = list(self._get_indices(indices))
        if isinstance(self.vector_env.unwrapped, SyncVectorEnv):
            return [self._lane(lane).get_wrapper_attr(attr_name) for lane in lanes]
        return [getattr(self.vector_env.unwrapped, attr_name)] * len(lanes)

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Set an attribute in each lane of ``indices`` (all by default).

        Raises:
            OptionError: for some lanes only, if the lanes are not separate environments.
        """
        lanes = list(self._get_indices(indices))
        if isinstance(self.vector_env.unwrapped, SyncVectorEnv):
            for lane in lanes:
                self._lane(lane).set_wrapper_attr(attr_name, value)
        else:
            self._all(lanes, f"set {attr_name!r}")
            setattr(self.vector_env.unwrapped, attr_name, value)

    def env_method(
        self, method_name: str, *method_args: Any, indices: Any = None, **method_kwargs: Any
    ) -> list[Any]:
        """Call a method of each lane in ``indices`` (all by default).

        Raises:
            OptionError: for some lanes only, if the lanes are not separate environments.
        """
        lanes = list(self._get_indices(indices))
        if isinstance(self.vector_env.unwrapped, SyncVectorEnv):
            methods = [self._lane(lane).get_wrapper_attr(method_name) for lane in lanes]
            return [method(*method_args, **method_kwargs) for method in methods]
        self._all(lanes, f"call {method_name!r}")
        answer = getattr(self.vector_env.unwrapped, method_name)(*method_args, **method_kwargs)
        return [answer] * len(lanes)

    def env_is_wrapped(self, wrapper_class: type[Any], indices: Any = None) -> list[bool]:
        """Whether each lane is wrapped; for ``Monitor``, whether the statistics it would give are given."""
        lanes = list(self._get_indices(indices))
        if wrapper_class is Monitor and self._episode_statistics:
            return [True] * len(lanes)
        if isinstance(self.vector_env.unwrapped, SyncVectorEnv):
            return [is_wrapped(self._lane(lane), wrapper_class) for lane in lanes]
        return [False] * len(lanes)

    def get_images(self) -> Sequence[npt.NDArray[np.uint8] | None]:
        """One picture a lane, as the vector environment renders them."""
        images: Any = self.vector_env.render()
        return [None] * self.num_envs if images is None else list(images)

    def _lane(self, lane: int) -> Any:
        return self.vector_env.unwrapped.envs[lane]  # type: ignore[attr-defined]  a SyncVectorEnv

    def _all(self, lanes: Iterable[int], doing: str) -> None:
        if sorted(lanes) != list(range(self.num_envs)):
            raise OptionError(
                f"indices must name all {self.num_envs} lanes to {doing} of {type(self.vector_env.unwrapped).__name__}, "
                "whose lanes are one object"
            )
