"""The vector face of PatternWorld: laid-out episodes where that is possible, else the array kernel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium.vector import AutoresetMode

from tropism.envs.core.kernel_vector import KernelVectorEnv
from tropism.envs.core.vector import BoolArray, LaneVectorEnv, discrete_actions
from tropism.envs.patternworld.kernel import Kernel
from tropism.envs.patternworld.layout import Planner, can_lay_out
from tropism.envs.patternworld.observation import LABELS, action_space, observation_space, option_ranges
from tropism.envs.patternworld.params import Params, make_params
from tropism.errors import OptionError, UnknownNameError


class _PatternWorldLanes(LaneVectorEnv):
    """Spaces, actions and reset options, whatever computes the steps."""

    metadata = {"render_modes": [], "labels": LABELS}  # noqa: RUF012

    def __init__(self, num_envs: int, params: Params, autoreset_mode: AutoresetMode | str) -> None:
        self.params = params
        super().__init__(num_envs, observation_space(params), action_space(params), autoreset_mode)

    def _check_actions(self, actions: Any) -> npt.NDArray[np.int64]:
        return discrete_actions(actions, self.num_envs, self.params.num_actions)

    def _overrides(self, options: Mapping[str, Any]) -> dict[str, npt.NDArray[np.int32]]:
        ranges = option_ranges(self.params)
        checked = {}
        for name, value in options.items():
            if name not in ranges:
                raise UnknownNameError("reset option", name, ranges)
            array, (low, high) = np.asarray(value), ranges[name]
            right = array.dtype.kind in "iu" and array.shape in ((), (self.num_envs,))
            if not right or array.min() < low or array.max() > high:
                raise OptionError(
                    f"reset option {name!r} must be an integer in [{low}, {high}], or one for each of the "
                    f"{self.num_envs} lanes, got {value!r}"
                )
            checked[name] = np.broadcast_to(array.astype(np.int32), (self.num_envs,))
        return checked


class KernelPatternWorld(_PatternWorldLanes, KernelVectorEnv):
    """Lanes of the array kernel, in NumPy or JAX; serves every tier and mode."""

    def __init__(self, num_envs: int, params: Params, autoreset_mode: AutoresetMode | str, backend: str) -> None:
        super().__init__(num_envs, params, autoreset_mode)
        self._use(lambda xp: Kernel(xp, params), backend)


class LaidOutPatternWorld(_PatternWorldLanes):
    """Lanes whose episodes were laid out when they began.

    All lanes share one cursor into the rows: a lane that restarts gets its new episode written from the cursor
    on.  Rows are time-major (a step reads contiguous rows), tokens lane-major (a history is a slice).
    """

    def __init__(self, num_envs: int, params: Params, autoreset_mode: AutoresetMode | str) -> None:
        super().__init__(num_envs, params, autoreset_mode)
        self._planner = Planner(params)
        self._rewards = np.array([*params.rewards, 0.0])
        self._masks = params.feedback in ("bandit", "probe")
        span, h = 2 * (self._planner.steps + 1), params.history
        self._rule, self._since, self._target, self._stale = (
            np.zeros((span, num_envs), np.int32) for _ in range(4)
        )
        self._switched = np.zeros((span, num_envs), np.bool_)
        self._tokens = np.full((num_envs, h + span), params.vocabulary, np.float32 if params.flat else np.int64)
        self._row = 0
        self._end_row = np.zeros(num_envs, np.int64)
        self._action = np.full(num_envs, params.num_actions, np.int64)
        self._reward = np.zeros(num_envs)

    def _restart(self, lanes: BoolArray, options: Mapping[str, Any]) -> None:
        overrides = {name: array[lanes] for name, array in self._overrides(options).items()}
        plan = self._planner.lay_out(self._keys[lanes], self._episodes[lanes], overrides)
        every = bool(lanes.all())
        self._make_room(every)
        row, rows, h = self._row, plan.rule.shape[0], self.params.history
        where: Any = slice(None) if every else np.flatnonzero(lanes)
        for store, part in (
            (self._rule, plan.rule),
            (self._switched, plan.switched),
            (self._since, plan.since),
            (self._target, plan.token[1:]),
            (self._stale, plan.stale_target),
        ):
            store[row : row + rows, where] = part
        # The history of a row ends at column row + h, so the columns before the first token are blank again.
        tokens = self._tokens[:, row : row + h + rows]
        tokens[where, : h - 1] = self.params.vocabulary
        tokens[where, h - 1] = plan.token[0]
        tokens[where, h:] = self.params.vocabulary if self._masks else plan.token[1:].T
        if self.params.family == "order2":
            tokens[where, h - 2] = plan.previous
        self._end_row[where] = row + self._planner.steps
        self._action[where], self._reward[where] = self.params.num_actions, 0.0

    def _make_room(self, every: bool) -> None:
        """Move what is still needed to the front when a new episode would not fit behind the cursor."""
        if every:
            self._row = 0
        rows, row = self._planner.steps + 1, self._row
        if row <= rows:
            return
        for store in (self._rule, self._switched, self._since, self._target, self._stale):
            store[: len(store) - row] = store[row:].copy()
        self._tokens[:, : self._tokens.shape[1] - row] = self._tokens[:, row:].copy()
        self._end_row -= row
        self._row = 0

    def _advance(self, actions: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.float64], BoolArray, BoolArray]:
        target = self._target[self._row]
        outcome = (actions == target).view(np.int8)
        if self.params.feedback == "probe":
            peeked = actions == self.params.vocabulary
            outcome = np.where(peeked, 2, outcome)
            lanes = np.flatnonzero(peeked)
            self._tokens[lanes, self._row + self.params.history] = target[lanes]
        reward = self._rewards.take(outcome)
        self._row += 1
        self._action, self._reward = actions.copy(), reward
        return reward.copy(), np.zeros(self.num_envs, np.bool_), self._end_row == self._row

    def _observe(self) -> Any:
        row, h = self._row, self.params.history
        history = self._tokens[:, row : row + h]
        if not self.params.flat:
            return {
                "history": history.copy(),
                "prev_action": self._action.copy(),
                "prev_reward": self._reward.astype(np.float32)[:, None],
                "query_k": np.zeros(self.num_envs, np.int64),
            }
        flat = np.empty((self.num_envs, h + 3), np.float32)
        flat[:, :h] = history
        flat[:, h] = self._action
        flat[:, h + 1] = self._reward
        flat[:, h + 2] = 0.0
        return flat

    def _labels(self) -> dict[str, npt.NDArray[Any]]:
        row = self._row
        return {
            "rule": self._rule[row].astype(np.int64),
            "switched": self._switched[row].copy(),
            "since_switch": self._since[row].astype(np.int64),
            "required_compute": np.ones(self.num_envs, np.int64),
            "target": self._target[row].astype(np.int64),
            "stale_target": self._stale[row].astype(np.int64),
        }


def make_vector(
    num_envs: int = 1,
    tier: str = "Switch",
    max_episode_steps: int | None = None,
    autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
    backend: str = "numpy",
    render_mode: str | None = None,
    **overrides: Any,
) -> LaneVectorEnv:
    """The vector entry point of every ``tropism/PatternWorld-*`` id.

    Args:
        num_envs: lanes.
        tier: name of the tier.
        max_episode_steps: steps until truncation; ``None`` or -1 for no limit.
        autoreset_mode: a ``gymnasium.vector.AutoresetMode`` or its name.
        backend: ``"numpy"``, or ``"jax"`` for the jitted kernel.
        render_mode: must be ``None``: make a single environment to look at.
        overrides: fields of :class:`~tropism.envs.patternworld.params.Params`.
    """
    if render_mode is not None:
        raise OptionError(f"render_mode must be None in a vector environment, got {render_mode!r}: use gym.make")
    limit = None if max_episode_steps in (None, -1) else max_episode_steps
    params = make_params(tier, max_episode_steps=limit, **overrides)
    if backend == "numpy" and can_lay_out(params):
        return LaidOutPatternWorld(num_envs, params, autoreset_mode)
    return KernelPatternWorld(num_envs, params, autoreset_mode, backend)
