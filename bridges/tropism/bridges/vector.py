"""A vector of games: actions go to all of them before the first answer is waited for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium import spaces
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space, concatenate, create_empty_array, iterate

from tropism.bridges.env import BridgeEnv
from tropism.bridges.errors import BridgeError, SpecMismatch
from tropism.errors import OptionError, UnknownNameError

STEP, RESET = "step", "reset"
"""What a lane was sent."""

BoolArray = npt.NDArray[np.bool_]
Lane = tuple[Any, float, bool, bool, dict[str, Any]]
Batch = tuple[Any, npt.NDArray[np.float64], BoolArray, BoolArray, dict[str, Any]]


class BridgeVectorEnv(VectorEnv[Any, Any, Any]):
    """Several games with one agent each, which step at the same time.

    Lanes behave as those of ``gymnasium.vector.SyncVectorEnv`` over :class:`BridgeEnv`, in all three auto-reset modes, but for
    ``info["bridge"]``, which is only there for lanes with something to tell: a fault, or latest-frame mode.  A lane whose
    game is at fault ends its episode, or raises, as its ``on_fault`` says; the others have been stepped all the same.

    :meth:`send` and :meth:`recv` are the two halves of :meth:`step`: what is computed between them costs no time, and two
    vectors in turn keep both the games and a policy busy.

    Args:
        num_envs: how many games of the same kind, or the arguments of each, as mappings.
        autoreset_mode: ``NEXT_STEP`` (default), ``SAME_STEP`` or ``DISABLED``, or its name.
        kwargs: of :class:`BridgeEnv`, for all.

    Raises:
        OptionError: for no game.
        SpecMismatch: the games differ in their spaces.
        BridgeError: one of the games could not be started; none is left running.
    """

    def __init__(
        self,
        num_envs: int | Sequence[Mapping[str, Any]],
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        **kwargs: Any,
    ) -> None:
        each = [{} for _ in range(num_envs)] if isinstance(num_envs, int) else list(num_envs)
        if not each:
            raise OptionError(f"a vector needs at least one game, got {num_envs!r}")
        self._autoreset = _mode(autoreset_mode)
        self.num_envs = len(each)
        self.envs: list[BridgeEnv] = []
        try:
            several = {"batch": len(each) > 1}
            for own in each:
                self.envs.append(BridgeEnv(**{**several, **kwargs, **own, "connect": False}))
            for env in self.envs:
                env.connect()
            self._settle()
        except BaseException:
            self.close()
            raise

    def _settle(self) -> None:
        """Take over what the games are."""
        first = self.envs[0]
        for lane, env in enumerate(self.envs):
            for name in ("observation_space", "action_space"):
                want, got = getattr(first, name), getattr(env, name)
                if want != got:
                    raise SpecMismatch(f"{name} of game {lane}", want, got)
        self.single_observation_space = first.observation_space
        self.single_action_space = first.action_space
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self.metadata = {**first.metadata, "autoreset_mode": self._autoreset}
        self.render_mode = first.render_mode
        self._stack = _stacking(self.single_observation_space)
        self._observations: list[Any] = [None] * self.num_envs
        self._ended: BoolArray | None = None
        self._under_way: list[str | BridgeError] | None = None

    # -- Gymnasium ------------------------------------------------------------------------------------------

    @property
    def np_random_seed(self) -> tuple[int | None, ...]:  # type: ignore[override]  one a lane, as SyncVectorEnv
        """Seed of each lane."""
        return tuple(env.np_random_seed for env in self.envs)

    def reset(  # type: ignore[override]  a list of seeds too, as SyncVectorEnv takes it
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[Any, dict[str, Any]]:
        """Reset all games, or those of ``options["reset_mask"]`` (``bool[B]``).

        Args:
            seed: None, an integer (lane ``i`` gets ``seed + i``), or one entry a lane.
            options: of the games.
        """
        options = dict(options or {})
        lanes = self._lanes(options.pop("reset_mask", None))
        seeds = self._seeds(seed)
        self._under_way = None  # answers to actions that were not received are discarded
        for lane in lanes:
            self.envs[lane].send_reset(seeds[lane], options or None)
        infos: dict[str, Any] = {}
        for lane in lanes:
            self._observations[lane], info = self.envs[lane].receive_reset()
            infos = self._add_info(infos, _told(info), lane)
        if self._ended is None:
            self._ended = np.zeros(self.num_envs, np.bool_)
        self._ended[lanes] = False
        return self._batch(), infos

    def step(self, actions: Any) -> Batch:
        """One step of every game; lanes that ended restart as the auto-reset mode says."""
        self.send(actions)
        return self.recv()

    def send(self, actions: Any) -> None:
        """The first half of :meth:`step`: send an action to every game, and a reset to those whose turn it is.

        Raises:
            ResetNeeded: before the first reset, or for lanes that ended, without auto-reset.
            OptionError: the last actions were not received yet.
        """
        ended = self._ended
        if ended is None:
            raise ResetNeeded("step() was called before the first reset()")
        if self._under_way is not None:
            raise OptionError("send() was called twice: recv() first")
        if self._autoreset is AutoresetMode.DISABLED and ended.any():
            lanes = np.flatnonzero(ended).tolist()
            raise ResetNeeded(f"the episodes of lanes {lanes} have ended: reset them first")
        array = isinstance(actions, np.ndarray)  # whose rows are what `iterate` would give
        each = actions if array else iterate(self.action_space, actions)
        self._under_way = [
            _sent(env, action, restart)
            for env, action, restart in zip(self.envs, each, ended.tolist(), strict=True)
        ]

    def recv(self) -> Batch:
        """The second half of :meth:`step`: the answers of all games.

        Raises:
            OptionError: nothing was sent.
            BridgeError: the first fault that is not endured.  The other games have made their step; the lane at fault has ended
                its episode.
        """
        under_way, self._under_way = self._under_way, None
        if under_way is None:
            raise OptionError("recv() was called before send()")
        lanes: list[Lane] = []
        errors: dict[int, BridgeError] = {}
        for lane, (env, receive) in enumerate(zip(self.envs, under_way, strict=True)):
            try:
                lanes.append(_received(env, receive))
            except BridgeError as error:
                errors[lane] = error
                lanes.append((self._observations[lane], 0.0, False, True, {}))
        observations, rewards, terminated, truncated, told = zip(*lanes, strict=True)
        self._observations = list(observations)
        ends, cuts = np.array(terminated), np.array(truncated)
        self._ended = ended = ends | cuts
        if errors:
            raise next(iter(errors.values()))
        quiet = not (any(told) or True in terminated or True in truncated)
        infos = {} if quiet else self._infos(ended, list(told))
        return self._batch(), np.array(rewards), ends, cuts, infos

    def render(self) -> tuple[Any, ...]:
        """A picture of each game."""
        return tuple(env.render() for env in self.envs)

    def call(self, name: str, args: Any = None) -> tuple[Any, ...]:
        """Call a function of every game; see :meth:`tropism.bridges.session.Session.call`."""
        return tuple(env.call(name, args) for env in self.envs)

    def close_extras(self, **kwargs: Any) -> None:  # noqa: ARG002  Gymnasium's signature
        """End all games."""
        for env in self.envs:
            env.close()

    # -- details --------------------------------------------------------------------------------------------

    def _infos(self, ended: BoolArray, told: list[dict[str, Any]]) -> dict[str, Any]:
        """The batched infos; in mode ``SAME_STEP`` lanes that have ended are reset first."""
        infos: dict[str, Any] = {}
        if self._autoreset is AutoresetMode.SAME_STEP and ended.any():
            lanes = np.flatnonzero(ended).tolist()
            for lane in lanes:
                final = {"final_obs": self._observations[lane], "final_info": told[lane]}
                infos = self._add_info(infos, final, lane)
                self.envs[lane].send_reset()
            for lane in lanes:
                self._observations[lane], info = self.envs[lane].receive_reset()
                told[lane] = _told(info)
            self._ended = np.zeros(self.num_envs, np.bool_)
        for lane, info in enumerate(told):
            if info:
                infos = self._add_info(infos, info, lane)
        return infos

    def _lanes(self, mask: Any) -> list[int]:
        """Lanes of a mask of Gymnasium's option ``reset_mask``."""
        if mask is None:
            return list(range(self.num_envs))
        if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_:
            raise TypeError(f"options['reset_mask'] must be a NumPy array of bool, got {mask!r}")
        if mask.shape != (self.num_envs,) or not mask.any():
            raise ValueError(
                f"options['reset_mask'] must have shape ({self.num_envs},) and at least one True, got {mask}"
            )
        return np.flatnonzero(mask).tolist()

    def _seeds(self, seed: int | Sequence[int | None] | None) -> Sequence[int | None]:
        if seed is None:
            return [None] * self.num_envs
        if isinstance(seed, (int, np.integer)):
            return [int(seed) + lane for lane in range(self.num_envs)]
        if len(seed) != self.num_envs:
            raise ValueError(
                f"seed must have one entry for each of {self.num_envs} lanes, got {len(seed)}"
            )
        return seed

    def _batch(self) -> Any:
        """A fresh batch of the lanes' observations."""
        return self._stack(self._observations)


def _stacking(space: spaces.Space[Any]) -> Callable[[list[Any]], Any]:
    """A function that makes batches, as Gymnasium's ``concatenate``; in half the time of boxes and dictionaries of them."""
    if isinstance(space, spaces.Box):
        return np.array
    if isinstance(space, spaces.Dict):
        parts = [(key, _stacking(part)) for key, part in space.items()]
        return lambda items: {key: stack([item[key] for item in items]) for key, stack in parts}
    return lambda items: concatenate(
        space, items, create_empty_array(space, len(items), fn=np.zeros)
    )


def _sent(env: BridgeEnv, action: Any, restart: bool) -> str | BridgeError:
    """Send a lane what it is due; what was sent, or why nothing was."""
    try:
        if restart:
            env.send_reset()
            return RESET
        env.send_step(action)
        return STEP
    except BridgeError as error:
        return error


def _received(env: BridgeEnv, receive: str | BridgeError) -> Lane:
    """The answer of a lane to what it was sent."""
    if receive is STEP:
        observation, reward, terminated, truncated, info, facts = env.receive_outcome()
        info = {**info, "bridge": facts} if facts else info
        return observation, reward, terminated, truncated, info
    if isinstance(receive, BridgeError):
        raise receive
    observation, info = env.receive_reset()
    return observation, 0.0, False, False, _told(info)


def _told(info: dict[str, Any]) -> dict[str, Any]:
    """What a vector tells of a lane: counting steps for each is not worth the time it takes to batch it."""
    bridge = info.get("bridge", {})
    bridge.pop("step", None)
    if not bridge:
        info.pop("bridge", None)
    return info


def _mode(mode: AutoresetMode | str) -> AutoresetMode:
    if isinstance(mode, AutoresetMode):
        return mode
    names = {m.name: m for m in AutoresetMode} | {m.value: m for m in AutoresetMode}
    if mode not in names:
        raise UnknownNameError("autoreset_mode", str(mode), names)
    return names[mode]
