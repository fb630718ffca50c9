"""The vector face of PatternWorld: laid-out episodes where that is possible, else the array kernel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium.vector import AutoresetMode

from tropism.envs.core.kernel_vector import KernelVectorEnv
from tropism.envs.core.vector import BoolArray, LaneVectorEnv, discrete_actions
from tropism.envs.patternworld.kernel_hop import make_kernel
from tropism.envs.patternworld.layout import BASE, SINCE, STALE_BASE, Layout, Planner, can_lay_out
from tropism.envs.patternworld.observation import (
    LABELS,
    action_space,
    observation_space,
    option_ranges,
)
from tropism.envs.patternworld.params import Params, make_params
from tropism.errors import OptionError, UnknownNameError

_BLOCK = 64
"""Rows transposed at a time when an episode is laid out."""
_AHEAD = 32
"""Rows whose labels are made at a time."""


class _PatternWorldLanes(LaneVectorEnv):
    """Spaces, actions and reset options, whatever computes the steps."""

    metadata = {"render_modes": [], "labels": LABELS}  # noqa: RUF012  as Gymnasium types it

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

    def __init__(
        self, num_envs: int, params: Params, autoreset_mode: AutoresetMode | str, backend: str
    ) -> None:
        super().__init__(num_envs, params, autoreset_mode)
        self._use(lambda xp: make_kernel(xp, params), backend)


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
        rows, h = self._planner.steps + 1, params.history
        span = 2 * rows + 1
        self._plan = Layout.empty(span - 1, num_envs)
        # Tokens as the agent is shown them; the history of a row ends at column row + h.
        self._shown = np.full(
            (num_envs, h + span), params.vocabulary, np.float32 if params.flat else np.int64
        )
        self._row = 0
        self._end_row = np.zeros(num_envs, np.int64)
        self._ahead: dict[str, npt.NDArray[Any]] = {}
        self._ahead_row = 0
        self._action = np.full(num_envs, params.num_actions, np.int64)
        self._reward = np.zeros(num_envs)

    def _restart(self, lanes: BoolArray, options: Mapping[str, Any]) -> None:
        overrides = {name: array[lanes] for name, array in self._overrides(options).items()}
        every = bool(lanes.all())
        self._make_room(every)
        row, rows = self._row, self._planner.steps + 1
        room = self._room(row, rows)
        plan = self._planner.lay_out(
            self._keys[lanes], self._episodes[lanes], overrides, room if every else None
        )
        where: Any = slice(None) if every else np.flatnonzero(lanes)
        if not every:
            for store, part in zip(room, plan, strict=True):
                store[..., where] = part
        self._show(plan, where)
        self._end_row[where] = row + self._planner.steps
        self._ahead = {}
        self._action[where], self._reward[where] = self.params.num_actions, 0.0

    def _room(self, row: int, rows: int) -> Layout:
        """Views of the stores from ``row`` on, for an episode of ``rows`` rows."""
        plan, end = self._plan, row + rows
        return Layout(
            plan.switched[row:end],
            plan.lines[row:end],
            plan.place[row:end],
            plan.token[row : end + 1],
            plan.previous,
        )

    def _show(self, plan: Layout, where: Any) -> None:
        """Write what the agent will see: blanks before the first token, then the tokens (blank where masked)."""
        h, rows = self.params.history, self._planner.steps + 1
        shown = self._shown[:, self._row : self._row + h + rows]
        shown[where, : h - 1] = self.params.vocabulary
        shown[where, h - 1] = plan.token[0]
        if self.params.family == "order2":
            shown[where, h - 2] = plan.previous
        if self._masks:
            shown[where, h:] = self.params.vocabulary
            return
        for first in range(
            0, rows, _BLOCK
        ):  # by blocks: a whole transposed copy would miss the cache
            block = plan.token[1 + first : 1 + min(first + _BLOCK, rows)]
            shown[where, h + first : h + first + len(block)] = block.T

    def _make_room(self, every: bool) -> None:
        """Move what is still needed to the front when a new episode would not fit behind the cursor."""
        if every:
            self._row = 0
        row = self._row
        if row <= self._planner.steps + 1:
            return
        for store in self._plan[:4]:
            store[: len(store) - row] = store[row:].copy()
        self._shown[:, : self._shown.shape[1] - row] = self._shown[:, row:].copy()
        self._end_row -= row
        self._row = 0

    def _advance(
        self, actions: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.float64], BoolArray, BoolArray]:
        row, target = self._row, self._plan.token[self._row + 1]
        outcome = (actions == target).view(np.int8)
        if self.params.feedback == "probe":
            peeked = actions == self.params.vocabulary
            outcome = np.where(peeked, 2, outcome)
            lanes = np.flatnonzero(peeked)
            self._shown[lanes, row + self.params.history] = target[lanes]
        reward = self._rewards.take(outcome)
        self._row += 1
        self._action, self._reward = actions.copy(), reward
        return reward.copy(), np.zeros(self.num_envs, np.bool_), self._end_row == self._row

    def _observe(self) -> Any:
        row, h = self._row, self.params.history
        history = self._shown[:, row : row + h]
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
        nth = self._row - self._ahead_row
        if not self._ahead or nth >= len(self._ahead["rule"]):
            self._look_ahead()
            nth = 0
        # Each row of the block is handed out once, so these are fresh arrays.
        return {name: block[nth] for name, block in self._ahead.items()}

    def _look_ahead(self) -> None:
        """Labels of the next rows, a block at a time: few large array calls instead of many small ones."""
        plan, row = self._plan, self._row
        rows = slice(row, min(row + _AHEAD, len(plan.switched)))
        lines = plan.lines[rows]
        self._ahead_row = row
        self._ahead = {
            "rule": (lines[:, BASE] // self._planner.width).astype(np.int64),
            "switched": plan.switched[rows].copy(),
            "since_switch": lines[:, SINCE].astype(np.int64),
            "required_compute": np.ones(lines[:, 0].shape, np.int64),
            "target": plan.token[row + 1 : rows.stop + 1].astype(np.int64),
            "stale_target": self._planner.flat.take(
                lines[:, STALE_BASE] + plan.place[rows], mode="clip"
            ).astype(np.int64),
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
        raise OptionError(
            f"render_mode must be None in a vector environment, got {render_mode!r}: use gym.make"
        )
    limit = None if max_episode_steps in (None, -1) else max_episode_steps
    params = make_params(tier, max_episode_steps=limit, **overrides)
    if backend == "numpy" and can_lay_out(params):
        return LaidOutPatternWorld(num_envs, params, autoreset_mode)
    return KernelPatternWorld(num_envs, params, autoreset_mode, backend)
