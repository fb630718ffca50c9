"""Promise one in every feedback mode: the jitted rollout gives the bits of the vector environment."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from tests.envs.test_patternworld_faces import FIRST, SEEDS, actions, faces, same, sync

import tropism.envs
from tropism.envs.core.random import seed_key
from tropism.envs.patternworld.params import FEEDBACKS

# Noise, a second-order rule, rules that come back; of Hop, the slowest to compile, the mode with most branches.
CASES = [(tier, mode) for tier in ("Noisy", "Order2", "Recur") for mode in FEEDBACKS[1:]]
CASES += [("Hop", "probe")]
STEPS, LIMIT = 150, 40


def jitted_rollout(env, params, keys, batch):
    """Reset and scan in one program, so that a case costs one compilation."""
    import jax

    @jax.jit
    def rollout(keys, batch):
        first, state = jax.vmap(env.reset, in_axes=(0, None))(keys, params)

        def step(state, action):
            out = jax.vmap(env.step, in_axes=(None, 0, 0, None))(None, state, action, params)
            return out[1], (out[0], *out[2:])

        return first, jax.lax.scan(step, state, batch)[1]

    return jax.tree.map(np.asarray, rollout(keys, batch))


def answers(params):
    """Half of them right; in ``probe`` mode every fifth is a PEEK."""
    batch = actions(params, STEPS)
    if params.feedback == "probe":
        batch[np.random.default_rng(2).random(batch.shape) < 0.2] = params.num_actions - 1
    return batch


@pytest.mark.parametrize(("tier", "feedback"), CASES)
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
    for env in faces(tier, mode, feedback=feedback):
        reference = sync(tier, mode, feedback=feedback)
        same(reference.reset(seed=FIRST), env.reset(seed=FIRST), "reset")
        for t, action in enumerate(actions(env.params)):
            one, other = reference.step(action), env.step(action)
            same(one, other, f"step {t}")
            if mode is AutoresetMode.DISABLED and (ended := one[2] | one[3]).any():
                resets = [e.reset(options={"reset_mask": ended.copy()}) for e in (reference, env)]
                same(*resets, f"reset after step {t}")
