"""Promise one of the suite: every face of an id gives the same bits."""

from __future__ import annotations

import functools

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

import tropism.envs
from tropism.envs.core.random import seed_key
from tropism.envs.patternworld.kernel_hop import make_kernel
from tropism.envs.patternworld.params import FEEDBACKS, TIERS, make_params
from tropism.envs.patternworld.rules import dwell_thresholds
from tropism.envs.patternworld.vector import KernelPatternWorld, LaidOutPatternWorld

SEEDS, STEPS, LIMIT = 5, 600, 250
FIRST = 7


def same(one, other, path=""):
    """Exact equality of nested results, types included."""
    if isinstance(one, dict):
        assert set(one) == set(other), f"{path}: {set(one) ^ set(other)}"
        for name in one:
            same(one[name], other[name], f"{path}/{name}")
    elif isinstance(one, (list, tuple)) or (isinstance(one, np.ndarray) and one.dtype.kind == "O"):
        assert len(one) == len(other), path
        for n, (left, right) in enumerate(zip(one, other, strict=True)):
            if left is None or right is None:
                assert left is right, f"{path}[{n}]"
            else:
                same(left, right, f"{path}[{n}]")
    else:
        left, right = np.asarray(one), np.asarray(other)
        assert left.dtype == right.dtype, f"{path}: {left.dtype} against {right.dtype}"
        if not np.array_equal(left, right):  # quick; what follows knows of NaN, and tells where
            np.testing.assert_array_equal(left, right, err_msg=path)


@functools.cache
def actions(params, steps=STEPS):
    """Answers for ``steps`` steps: in half the lanes and steps the right one, else random; not to be changed."""
    vector = KernelPatternWorld(SEEDS, params, AutoresetMode.SAME_STEP, "numpy")
    rng, (_, info) = np.random.default_rng(1), vector.reset(seed=FIRST)
    batch = []
    for _ in range(steps):
        guess = rng.integers(0, params.num_actions, SEEDS)
        batch.append(np.where(rng.random(SEEDS) < 0.5, info["target"], guess))
        info = vector.step(batch[-1])[4]
    answers = np.array(batch)
    answers.flags.writeable = False
    return answers


def sync(tier, mode=AutoresetMode.NEXT_STEP, **kwargs):
    return gym.make_vec(
        f"tropism/PatternWorld-{tier}-v0",
        SEEDS,
        vectorization_mode="sync",
        vector_kwargs={"autoreset_mode": mode},
        max_episode_steps=LIMIT,
        **kwargs,
    )


def faces(tier, mode, **kwargs):
    """The default vector environment, and the kernel in NumPy."""
    vector = gym.make_vec(
        f"tropism/PatternWorld-{tier}-v0",
        SEEDS,
        autoreset_mode=mode,
        max_episode_steps=LIMIT,
        **kwargs,
    )
    params = make_params(tier, max_episode_steps=LIMIT, **kwargs)
    return vector, KernelPatternWorld(SEEDS, params, mode, "numpy")


def all_same(reference, others, call, where):
    """Call the yardstick and the other faces alike; they must say the same, which is returned."""
    expected = call(reference)
    for env in others:
        same(expected, call(env), where)
    return expected


def partial_reset(mask):
    """A reset of some lanes, for :func:`all_same`."""
    return lambda env: env.reset(options={"reset_mask": mask.copy()})


@pytest.mark.parametrize("mode", list(AutoresetMode))
@pytest.mark.parametrize("tier", TIERS)
def test_vectors_equal_single_environments(tier, mode):
    envs = sync(tier, mode), faces(tier, mode)
    all_same(*envs, lambda env: env.reset(seed=FIRST), "reset")
    for t, action in enumerate(actions(envs[1][0].params)):
        seen = all_same(*envs, lambda env, action=action: env.step(action.copy()), f"step {t}")
        ended = seen[2] | seen[3]
        if mode is AutoresetMode.DISABLED and (ended.any() or t in (20, 21)):
            mask = ended | (np.arange(SEEDS) == t % SEEDS)
            all_same(*envs, partial_reset(mask), f"reset after step {t}")


@pytest.mark.parametrize("feedback", FEEDBACKS[1:])
@pytest.mark.parametrize("tier", TIERS)
def test_vectors_equal_single_environments_in_every_feedback_mode(tier, feedback):
    kwargs = {"feedback": feedback, "flat": True}
    mode = AutoresetMode.SAME_STEP
    envs = sync(tier, mode, **kwargs), faces(tier, mode, **kwargs)
    all_same(*envs, lambda env: env.reset(seed=FIRST), "reset")
    for t, action in enumerate(actions(envs[1][0].params, 300)):
        all_same(*envs, lambda env, action=action: env.step(action.copy()), f"step {t}")


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


@pytest.mark.parametrize("tier", TIERS)
def test_jitted_scan_equals_the_vector(tier):
    pytest.importorskip("jax")
    env, params = tropism.envs.make_functional(
        f"tropism/PatternWorld-{tier}-v0", flat=True, max_episode_steps=LIMIT
    )
    vector = gym.make_vec(
        f"tropism/PatternWorld-{tier}-v0",
        SEEDS,
        flat=True,
        max_episode_steps=LIMIT,
        autoreset_mode=AutoresetMode.SAME_STEP,
    )
    keys = np.array([seed_key(FIRST + lane) for lane in range(SEEDS)], np.uint32)
    batch = actions(params)
    assert 0.3 < np.mean(_rewards_of(vector, batch) == 1.0) < 0.9

    outcomes = jitted_rollout(env, params, keys, batch)
    first, (observations, rewards, terminated, truncated, info) = outcomes
    np.testing.assert_array_equal(vector.reset(seed=FIRST)[0], first)
    for t in range(STEPS):
        observation, reward, ended, cut, labels = vector.step(batch[t])
        np.testing.assert_array_equal(observation, observations[t])
        np.testing.assert_array_equal(reward, rewards[t].astype(np.float64))
        np.testing.assert_array_equal(ended, terminated[t])
        np.testing.assert_array_equal(cut, truncated[t])
        for name in vector.metadata["labels"]:
            np.testing.assert_array_equal(labels[name], info[name][t], err_msg=name)
        for lane in np.flatnonzero(cut):
            final = info["final_observation"][t][lane]
            np.testing.assert_array_equal(labels["final_obs"][lane], final)


def _rewards_of(vector, batch):
    vector.reset(seed=FIRST)
    return np.array([vector.step(action)[1] for action in batch])


@pytest.mark.parametrize("tier", ["Noisy", "Hop"])
def test_jax_backend_of_the_vector_equals_numpy(tier):
    pytest.importorskip("jax")
    kwargs = {"max_episode_steps": 40, "autoreset_mode": AutoresetMode.NEXT_STEP}
    name = f"tropism/PatternWorld-{tier}-v0"
    one, other = (gym.make_vec(name, SEEDS, backend=b, **kwargs) for b in ("numpy", "jax"))
    same(one.reset(seed=FIRST), other.reset(seed=FIRST), "reset")
    for t, action in enumerate(actions(one.unwrapped.params, 100)):
        same(one.step(action), other.step(action), f"step {t}")


@pytest.mark.parametrize("tier", TIERS)
def test_reset_options_mean_the_same_in_every_face(tier):
    options = {"token": 5, "rule": 2, "dwell": 3}
    if tier == "Order2":
        options["previous_token"] = 4
    single = gym.make(f"tropism/PatternWorld-{tier}-v0")
    seen, info = single.reset(seed=FIRST, options=options)
    assert (info["rule"], int(seen["history"][-1])) == (2, 5)
    reference = sync(tier)
    expected = [reference.reset(seed=FIRST, options=options)]
    expected += [reference.step(a) for a in actions(single.unwrapped.params, 6)]
    assert expected[3][4]["switched"].all()
    for env in faces(tier, AutoresetMode.NEXT_STEP):
        same(expected[0], env.reset(seed=FIRST, options=options), "reset")
        for t, action in enumerate(actions(env.params, 6)):
            same(expected[t + 1], env.step(action), f"step {t}")


def test_options_may_differ_from_lane_to_lane():
    env = gym.make_vec("tropism/PatternWorld-Affine-v0", SEEDS)
    rules = np.array([3, 1, 4, 1, 5])
    _, info = env.reset(seed=0, options={"rule": rules})
    np.testing.assert_array_equal(info["rule"], rules)


@pytest.mark.parametrize("lanes", [3, 40])
def test_lanes_that_restart_out_of_step_keep_their_episodes(lanes):
    """The shared cursor of laid-out episodes wraps while lanes restart at odd times, few or many at once."""
    params = make_params("Order2", max_episode_steps=30)
    env = LaidOutPatternWorld(lanes, params, AutoresetMode.DISABLED)
    reference = KernelPatternWorld(lanes, params, AutoresetMode.DISABLED, "numpy")
    rng = np.random.default_rng(3)
    same(reference.reset(seed=FIRST), env.reset(seed=FIRST), "reset")
    for t in range(400):
        action = rng.integers(0, params.num_actions, lanes)
        one, other = reference.step(action), env.step(action)
        same(one, other, f"step {t}")
        mask = one[3] | (rng.random(lanes) < 0.05)
        if mask.any():
            same(*(e.reset(options={"reset_mask": mask.copy()}) for e in (reference, env)), f"{t}")


def test_lanes_can_be_seeded_one_by_one_and_by_mask():
    env = gym.make_vec(
        "tropism/PatternWorld-Switch-v0", 3, autoreset_mode=AutoresetMode.DISABLED, flat=True
    )
    first, _ = env.reset(seed=[11, 22, 33])
    assert env.unwrapped.np_random_seed == (11, 22, 33)
    for _ in range(5):
        env.step(np.zeros(3, int))
    mask = np.array([False, True, False])
    again, _ = env.reset(seed=[0, 22, 0], options={"reset_mask": mask})
    np.testing.assert_array_equal(again[1], first[1])
    assert not np.array_equal(again[0], first[0])


def test_an_unseeded_vector_names_the_seeds_that_repeat_it():
    env = gym.make_vec("tropism/PatternWorld-Affine-v0", 4, flat=True)
    first, _ = env.reset()
    assert len({row.tobytes() for row in first}) > 1
    again, _ = env.reset(seed=list(env.unwrapped.np_random_seed))
    np.testing.assert_array_equal(first, again)


@pytest.mark.parametrize("hazard", [0.001, 0.0123, 1 / 30, 1 / 8, 0.5, 0.999, 1.0])
def test_jitted_dwells_are_exact_for_every_word_that_could_tell(hazard):
    """The logarithm only says where to look: beside each threshold the table must have the last word."""
    jax = pytest.importorskip("jax")
    params = make_params("Affine", hazard=hazard)
    edges = dwell_thresholds(params).astype(np.int64)
    drawn = np.random.default_rng(0).integers(0, 2**32, 20_000)
    around = (edges[:, None] + np.arange(-2, 3)).ravel()
    words = np.clip(np.concatenate([around, drawn, [0, 1, 2**32 - 1]]), 0, 2**32 - 1)
    words = words.astype(np.uint32)
    exact = make_kernel(np, params)._above(words)
    np.testing.assert_array_equal(exact, jax.jit(make_kernel(jax.numpy, params)._above)(words))
    few = words[-2_000:].astype(np.int64)
    np.testing.assert_array_equal(exact[-2_000:], (edges > few[:, None]).sum(1))
