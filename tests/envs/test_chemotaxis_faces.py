"""Every face of every Chemotaxis level gives the same bits."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from tests.envs.test_patternworld_faces import jitted_rollout, same

import tropism.envs
from tropism.envs.chemotaxis.levels import LEVELS
from tropism.envs.core.random import seed_key

SEEDS, STEPS, FIRST, LIMIT = 5, 300, 7, 90
GROWING = {
    "gradient_gain": (0.2, 1.0, 0.0, 0.5),
    "gradient_bins": (2, 16, 0.1, 0.6),
    "motor": (0.3, 1.0, 0.0, 0.5),
    "resources": (2.0, 1.0, 0.0, 0.7),
    "hazards": (0.0, 1.5, 0.2, 0.9),
}
VARIANTS = {
    "noisy": ("L0.2", {"obs_noise": 0.1, "harm": 0.1, "gradient_dropout": 0.2}),
    "wayward": ("L1.0", {"harmful_deplete_p": 0.4, "harmful_respawn_delay": 0}),
    "short": ("L0.2", {"sensing_range": 3, "terminate_on_reach": True, "steps": 60}),
    "growing-L0.2": ("L0.2", {"development": GROWING}),
    "growing-L2.1": ("L2.1", {"development": GROWING, "obs_noise": 0.05}),
    "growing-L3.1": ("L3.1", {"development": GROWING, "informed": True}),
    "growing-L5.0": ("L5.0", {"development": GROWING, "zones": 2, "walls": 2}),
    "seasoned": ("L4.1", {"informed": True, "num_harmful": 1, "layout_period": 3}),
}
CASES = {level: (level, {}) for level in LEVELS} | VARIANTS
JITTED = [  # a second and a half of compilation each
    pytest.param(*case, id=name, marks=[pytest.mark.slow] * (name in ("short", "growing-L0.2")))
    for name, case in CASES.items()
]


def env_id(level):
    return f"tropism/Chemotaxis-{level}-v0"


def actions(env, steps=STEPS):
    """Half of the time towards what is smelt, else random: sources are met, and walls, and other cells."""
    rng = np.random.default_rng(1)
    observation, _ = env.reset(seed=FIRST)
    batch = []
    for _ in range(steps):
        dx, dy = observation[:, 0], observation[:, 1]
        way = np.where(abs(dx) >= abs(dy), np.where(dx > 0, 4, 3), np.where(dy > 0, 2, 1))
        batch.append(np.where(rng.random(SEEDS) < 0.5, way, rng.integers(0, 5, SEEDS)))
        observation = env.step(batch[-1])[0]
    return np.array(batch)


def vector(level, mode, **kwargs):
    kwargs = {"autoreset_mode": mode, "max_episode_steps": LIMIT} | kwargs
    return gym.make_vec(env_id(level), SEEDS, **kwargs)


def sync(level, mode, **kwargs):
    return gym.make_vec(
        env_id(level),
        SEEDS,
        vectorization_mode="sync",
        vector_kwargs={"autoreset_mode": mode},
        max_episode_steps=LIMIT,
        **kwargs,
    )


@pytest.mark.parametrize(("level", "kwargs"), CASES.values(), ids=CASES)
def test_vectors_equal_single_environments(level, kwargs):
    mode = AutoresetMode.SAME_STEP
    one, other = sync(level, mode, **kwargs), vector(level, mode, **kwargs)
    batch = actions(other)
    ends = 0
    same(one.reset(seed=FIRST), other.reset(seed=FIRST), "reset")
    for t, action in enumerate(batch):
        left, right = one.step(action), other.step(action)
        same(left, right, f"step {t}")
        ends += (left[2] | left[3]).sum()
    assert ends >= SEEDS


@pytest.mark.parametrize("level", ["L1.1", "L4.2"])
@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.DISABLED])
def test_the_other_reset_modes_too(level, mode):
    one, other = sync(level, mode), vector(level, mode)
    same(one.reset(seed=FIRST), other.reset(seed=FIRST), "reset")
    for t, action in enumerate(actions(vector(level, AutoresetMode.SAME_STEP))):
        left, right = one.step(action), other.step(action)
        same(left, right, f"step {t}")
        ended = left[2] | left[3]
        if mode is AutoresetMode.DISABLED and (ended.any() or t in (20, 21)):
            mask = ended | (np.arange(SEEDS) == t % SEEDS)
            same(*(e.reset(options={"reset_mask": mask.copy()}) for e in (one, other)), f"{t}")


@pytest.mark.parametrize(("level", "kwargs"), JITTED)
def test_jitted_scan_equals_the_vector(level, kwargs):
    pytest.importorskip("jax")
    lanes = vector(level, AutoresetMode.SAME_STEP, **kwargs)
    env, params = tropism.envs.make_functional(env_id(level), max_episode_steps=LIMIT, **kwargs)
    keys = np.array([seed_key(FIRST + lane) for lane in range(SEEDS)], np.uint32)
    batch = actions(lanes)

    first, (observations, rewards, terminated, truncated, info) = jitted_rollout(
        env, params, keys, batch
    )
    start, _ = lanes.reset(seed=FIRST)
    outcomes = [lanes.step(action) for action in batch]
    np.testing.assert_array_equal(start, first)
    for n, found in enumerate((observations, rewards, terminated, truncated)):
        np.testing.assert_array_equal([outcome[n] for outcome in outcomes], found)
    for name in lanes.metadata["labels"]:
        told = [outcome[4][name] for outcome in outcomes]
        np.testing.assert_array_equal(told, info[name], err_msg=name)
    final = info["final_observation"]
    for t, outcome in enumerate(outcomes):
        for lane in np.flatnonzero(outcome[2] | outcome[3]):
            np.testing.assert_array_equal(outcome[4]["final_obs"][lane], final[t, lane])


def test_jax_backend_of_the_vector_equals_numpy():
    pytest.importorskip("jax")
    one, other = (vector("L1.1", AutoresetMode.NEXT_STEP, backend=b) for b in ("numpy", "jax"))
    same(one.reset(seed=FIRST), other.reset(seed=FIRST), "reset")
    for t, action in enumerate(actions(vector("L1.1", AutoresetMode.NEXT_STEP), 120)):
        same(one.step(action), other.step(action), f"step {t}")


def test_reset_options_mean_the_same_in_every_face():
    rng = np.random.default_rng(0)
    options = {
        "position": rng.integers(0, [[64, 1]] * SEEDS),
        "sources": rng.integers(0, [[[64, 1]] * 4] * SEEDS),
        "harmful": rng.random((SEEDS, 4)) < 0.5,
        "active": rng.random((SEEDS, 4)) < 0.7,
        "energy": np.linspace(0.1, 1, SEEDS),
        "integrity": np.linspace(0.3, 1, SEEDS),
    }
    other = vector("L1.0", AutoresetMode.SAME_STEP)
    singles = [gym.make(env_id("L1.0"), max_episode_steps=LIMIT) for _ in range(SEEDS)]
    observation, info = other.reset(seed=FIRST, options=options)
    for lane, env in enumerate(singles):
        mine = {name: value[lane] for name, value in options.items()}
        seen, labels = env.reset(seed=FIRST + lane, options=mine)
        same((seen, labels), (observation[lane], {n: info[n][lane] for n in labels}), f"{lane}")
    for t, action in enumerate(actions(vector("L1.0", AutoresetMode.SAME_STEP), 40)[:9]):
        observation, reward, *_ = other.step(action)
        for lane, env in enumerate(singles):
            out = env.step(action[lane])
            same((out[0], out[1]), (observation[lane], reward[lane]), f"step {t}, lane {lane}")
