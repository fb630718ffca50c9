"""Worlds of the chemotaxis ladder, step by step."""

from __future__ import annotations

import gymnasium as gym

from tropism.envs.chemotaxis.observation import STAY, channels


def make(level, **kwargs):
    return gym.make(f"tropism/Chemotaxis-{level}-v0", max_episode_steps=-1, **kwargs)


def begin(level, seed=0, *, options=None, **kwargs):
    env = make(level, **kwargs)
    seen, info = env.reset(seed=seed, options=options)
    return env, sense(env, seen), info


def sense(env, seen):
    return dict(zip(channels(env.unwrapped.params), seen.tolist(), strict=True))


def step(env, action=STAY):
    seen, reward, terminated, _, info = env.step(action)
    return sense(env, seen), reward, terminated, info


NEEDS = {
    "energy_decay": 0.015,
    "energy_gain": 0.25,
    "hydration_decay": 0.015,
    "hydration_gain": 0.25,
    "gain_weight": 10.0,
}
"""Numbers that are easy to check by hand, whatever those of the levels are."""
