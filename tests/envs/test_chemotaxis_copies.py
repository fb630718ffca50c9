"""Chemotaxis environments can be copied, and what they hand out belongs to whoever gets it."""

from __future__ import annotations

import copy
import pickle

import gymnasium as gym
import numpy as np
import pytest

import tropism.envs  # noqa: F401  registers the ids
from tropism.envs.chemotaxis.observation import DOWN, LEFT, RIGHT, STAY, UP


def make(level):
    return gym.make(f"tropism/Chemotaxis-{level}-v0")


@pytest.mark.parametrize("level", ["L1.1", "L1.2", "L3.1"])
@pytest.mark.parametrize("again", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))])
def test_a_copy_lives_on_as_the_original_would(level, again):
    env = make(level).unwrapped
    env.reset(seed=3)
    for move in (LEFT, LEFT, UP):
        env.step(move)
    other = again(env)
    for move in [RIGHT, DOWN, LEFT] * 10:
        one, two = env.step(move), other.step(move)
        np.testing.assert_array_equal(one[0], two[0])
        assert one[1:4] == two[1:4]
        np.testing.assert_equal(one[4], two[4])


def test_what_is_handed_out_is_never_written_again():
    env = make("L1.2")
    env.reset(seed=0)
    steps = [env.step(move) for move in [UP, LEFT, DOWN, RIGHT] * 25]
    arrays = [a for s in steps for a in (s[0], s[4]["sources"], s[4]["walls"])]
    assert not any(np.shares_memory(a, b) for a, b in zip(arrays, arrays[3:], strict=False))
    kept = [a.copy() for a in arrays]
    for array in arrays[::2]:
        array[...] = 7
    env.step(STAY)
    for array, before in zip(arrays[1::2], kept[1::2], strict=True):
        np.testing.assert_array_equal(array, before)
