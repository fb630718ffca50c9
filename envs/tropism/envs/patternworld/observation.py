"""What a PatternWorld agent sees: the spaces, and one reader for both forms of observation."""

from __future__ import annotations

from math import factorial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from tropism.envs.patternworld.params import SYMBOLS, Params
from tropism.envs.patternworld.rules import library

LABELS = ("rule", "switched", "since_switch", "required_compute", "target", "stale_target")
"""Keys of ``info`` that tell the hidden truth; ``HideLabels`` removes them."""


class Seen(NamedTuple):
    """A batched observation, whatever its form: ``history`` int64[B, H], the others [B]."""

    history: npt.NDArray[np.int64]
    prev_action: npt.NDArray[np.int64]
    prev_reward: npt.NDArray[np.float32]
    query_k: npt.NDArray[np.int64]


def observation_space(params: Params) -> spaces.Space[Any]:
    """Space of one lane: a dictionary, or with ``flat`` one float32 vector of ``H + 3`` numbers."""
    v, h, a = params.vocabulary, params.history, params.num_actions
    if not params.flat:
        return spaces.Dict(
            {
                "history": spaces.MultiDiscrete(np.full(h, v + 1)),
                "prev_action": spaces.Discrete(a + 1),
                "prev_reward": spaces.Box(-1.0, 1.0, (1,), np.float32),
                "query_k": spaces.Discrete(SYMBOLS + 1),
            }
        )
    low = np.zeros(h + 3, np.float32)
    high = np.full(h + 3, v, np.float32)
    low[h + 1] = -1.0
    high[h:] = a, 1.0, SYMBOLS
    return spaces.Box(low, high, dtype=np.float32)


def action_space(params: Params) -> spaces.Discrete:
    """The tokens, and PEEK as the last action in ``probe`` mode."""
    return spaces.Discrete(params.num_actions)


def read(observation: Any) -> Seen:
    """Take a batched observation apart, dictionary or flat."""
    if isinstance(observation, dict):
        reward = np.asarray(observation["prev_reward"])[..., 0]
        return Seen(
            observation["history"], observation["prev_action"], reward, observation["query_k"]
        )
    tokens = observation.astype(np.int64)
    return Seen(tokens[..., :-3], tokens[..., -3], observation[..., -2], tokens[..., -1])


def num_rules(params: Params) -> int:
    """How many values the ``rule`` label takes."""
    return factorial(SYMBOLS) if params.family == "hop" else library(params).num_rules


def option_ranges(params: Params) -> dict[str, tuple[int, int]]:
    """Reset options with their inclusive ranges."""
    ranges = {
        "token": (0, params.vocabulary - 1),
        "rule": (0, num_rules(params) - 1),
        "dwell": (1, 2**30),
    }
    if params.family == "order2":
        ranges["previous_token"] = ranges["token"]
    return ranges
