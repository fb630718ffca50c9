"""Promise one in every feedback mode: the jitted rollout gives the bits of the vector environment."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from tests.envs.test_patternworld_faces import (
    FIRST,
    SEEDS,
    actions,
    all_same,
    faces,
    jitted_rollout,
    partial_reset,
    sync,
)

import tropism.envs
from tropism.envs.core.random import seed_key
from tropism.envs.patternworld.params import FEEDBACKS

# Noise, a second-order rule, rules that come back; of Hop, the slowest to compile, the mode with most branches.
CASES = [(tier, mode) for tier in ("Noisy", "Order2", "Recur") for mode in FEEDBACKS[1:]]
CASES += [("Hop", "probe")]
STEPS, LIMIT = 150, 40


def answers(params):
    """Half of them right; in ``probe`` mode every fifth is a PEEK."""
    batch = actions(params, STEPS).copy()
    if params.feedback == "probe":
        batch[np.random.default_rng(2).random(batch.shape) < 0.2] = params.num_actions - 1
    return batch


# Each tier and each mode once: the others are compiled by the slow tests.
COMPILED = [("Noisy", "bandit"), ("Order2", "closed"), ("Recur", "probe"), ("Hop", "probe")]
JITTED = [pytest.param(*c, marks=[pytest.mark.slow] * (c not in COMPILED)) for c in CASES]


@pytest.mark.parametrize(("tier", "feedback"), JITTED)
def test_jitted_scan_equals_the_vector_in_every_feedback_mode(tier, feedback):
    pytest.importorskip("jax")
    kwargs = {"feedback": feedback, "flat": True, "max_episode_steps": LIMIT}
    name = f"tropism/PatternWorld-{tier}-v0"
    env, params = tropism.envs.make_functional(name, **kwargs)
    vector = gym.make_vec(name, SEEDS, autoreset_mode=AutoresetMode.SAME_STEP, **kwargs)
    keys = np.array([seed_key(FIRST + lane) for lane in range(SEEDS)], np.uint32)
    batch = answers(params)
    first, (seen, rewards, terminated, truncated, info) = jitted_rollout(env, params, keys, batch)
    np.testing.assert_array_equal(vector.reset(seed=FIRST)[0], first)
    for t in range(STEPS):
        observation, reward, ended, cut, labels = vector.step(batch[t])
        np.testing.assert_array_equal(observation, seen[t])
        np.testing.assert_array_equal(reward, rewards[t].astype(np.float64))
        np.testing.assert_array_equal(ended, terminated[t])
        np.testing.assert_array_equal(cut, truncated[t])
        for label in vector.metadata["labels"]:
            np.testing.assert_array_equal(labels[label], info[label][t], err_msg=label)
        for lane in np.flatnonzero(cut):
            np.testing.assert_array_equal(
                labels["final_obs"][lane], info["final_observation"][t][lane]
            )
    assert truncated.sum() == SEEDS * (STEPS // LIMIT)
    kinds = {"bandit": 2, "closed": 2, "probe": 3}[
        feedback
    ]  # wrong, right, and the price of a PEEK
    assert len(np.unique(rewards)) == kinds


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.DISABLED])
@pytest.mark.parametrize(("tier", "feedback"), CASES)
def test_vectors_equal_single_environments_in_the_other_reset_modes(tier, feedback, mode):
    envs = sync(tier, mode, feedback=feedback), faces(tier, mode, feedback=feedback)
    all_same(*envs, lambda env: env.reset(seed=FIRST), "reset")
    for t, action in enumerate(actions(envs[1][0].params)):
        seen = all_same(*envs, lambda env, action=action: env.step(action.copy()), f"step {t}")
        if mode is AutoresetMode.DISABLED and (ended := seen[2] | seen[3]).any():
            all_same(*envs, partial_reset(ended), f"reset after step {t}")
