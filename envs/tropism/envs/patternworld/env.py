"""The single-environment face of PatternWorld."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tropism.envs.core.baselines import Baseline
from tropism.envs.core.random import Key
from tropism.envs.core.single import ReferenceEnv, check_options, discrete_action, need_reset
from tropism.envs.patternworld.baselines import baseline_names, make_baseline
from tropism.envs.patternworld.observation import LABELS, action_space, observation_space, option_ranges
from tropism.envs.patternworld.params import make_params
from tropism.envs.patternworld.reference import make_reference

_ROOM = 4096
"""Tokens written into the history buffer before its tail is moved to the front."""


class PatternWorldEnv(ReferenceEnv):
    """DOCSTRING."""

    metadata = {"render_modes": ["rgb_array", "ansi", "human"], "render_fps": 8, "labels": LABELS}  # noqa: RUF012

    def __init__(self, render_mode: str | None = None, tier: str = "Switch", **overrides: Any) -> None:
        super().__init__(render_mode)
        self.params = make_params(tier, **overrides)
        self.baselines = baseline_names(self.params)
        self.observation_space = observation_space(self.params)
        self.action_space = action_space(self.params)
        self.reference = make_reference(self.params)
        self._num_actions = self.params.num_actions
        self._running = False
        self._flat, self._h, self._pad = self.params.flat, self.params.history, self.params.vocabulary
        dtype = np.float32 if self._flat else np.int64
        self._tokens = np.empty(self._h + _ROOM + 16, dtype)

    # -- Gymnasium ------------------------------------------------------------------------------------------

    def _begin(self, key: Key, episode: int, options: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
        checked = check_options(options, option_ranges(self.params))
        shown = self.reference.reset(key, episode, checked)
        self._end = self._h
        self._tokens[: self._h] = self._pad
        self._running = True
        self._show(shown)
        return self._observe(self._num_actions, 0.0), self._labels()

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Answer with the next token (or PEEK, the last action, in ``probe`` mode)."""
        if not self._running:
            raise need_reset("before the first reset()")
        if action.__class__ is not int or not 0 <= action < self._num_actions:
            action = discrete_action(action, self._num_actions)
        reward, shown = self.reference.step(action)
        self._show(shown)
        return self._observe(action, reward), reward, False, False, self._labels()

    def make_baseline(self, name: str, num_lanes: int) -> Baseline:
        """The baseline ``name`` for ``num_lanes`` lanes (:mod:`tropism.envs.patternworld.baselines`)."""
        return make_baseline(name, self.params, num_lanes)

    def _show(self, shown: tuple[int, ...]) -> None:
        end = self._end
        for token in shown:
            self._tokens[end] = token
            end += 1
        if end > self._h + _ROOM:
            self._tokens[: self._h] = self._tokens[end - self._h : end]
            end = self._h
        self._end = end

    def _observe(self, action: int, reward: float) -> Any:
        end, tokens = self._end, self._tokens
        if self._flat:
            # The three scalars stand where the next tokens will be written: one copy makes the observation.
            tokens[end] = action
            tokens[end + 1] = reward
            tokens[end + 2] = self.reference.query
            return tokens[end - self._h : end + 3].copy()
        return {
            "history": tokens[end - self._h : end].copy(),
            "prev_action": np.int64(action),
            "prev_reward": np.array([reward], np.float32),
            "query_k": np.int64(self.reference.query),
        }

    def _labels(self) -> dict[str, Any]:
        world = self.reference
        return {
            "rule": world.rule,
            "switched": world.switched,
            "since_switch": world.since,
            "required_compute": world.query or 1,
            "target": world.target,
            "stale_target": world.stale_target,
        }
