"""Lives of the chemotaxis ladder that are drawn."""

from __future__ import annotations

from typing import Any

import gymnasium

import tropism.envs  # noqa: F401
from tropism.envs.registration import CHEMOTAXIS

LEVELS = [row[0] for row in CHEMOTAXIS]


def make(level="L0.2", **options) -> Any:
    return gymnasium.make(f"tropism/Chemotaxis-{level}-v0", **options)


def live(level, actions, seed=3, options=None, **overrides):
    """The record of a life."""
    env = make(level, render_mode="rgb_array", **overrides)
    env.reset(seed=seed, options=options)
    for action in actions:
        _, _, terminated, truncated, _ = env.step(action)
        if terminated or truncated:
            break
    return env.unwrapped.life
