"""The ideal observer over lanes, its limits, Hop and the replay of recorded episodes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

import tropism.envs  # noqa: F401  registers the ids
from tropism.envs.patternworld.observer import (
    MAX_STATES,
    make_observer,
    not_computable,
    num_states,
)
from tropism.envs.patternworld.observer_hop import HopObserver, listed
from tropism.envs.patternworld.observer_replay import entropy, replay_belief
from tropism.envs.patternworld.params import FEEDBACKS, TIERS, make_params
from tropism.errors import OptionError


def every(lanes: int):
    return np.ones(lanes, bool)


def vector(tier: str, lanes: int, **options):
    return gym.make_vec(
        f"tropism/PatternWorld-{tier}-v0", lanes, autoreset_mode=AutoresetMode.DISABLED, **options
    )


def follow(params, seeds, steps, **options):
    """Predictions [steps, B] of an observer whose player answers greedily, and the targets."""
    envs = vector(params.tier, len(seeds), feedback=params.feedback, **options)
    observer = make_observer(params, len(seeds))
    seen, info = envs.reset(seed=list(seeds))
    observer.reset(every(len(seeds)), seen)
    predicted, targets, answers = [], [], []
    for _ in range(steps):
        predicted.append(observer.predict())
        targets.append(info["target"])
        action = predicted[-1].argmax(axis=1)
        answers.append(action)
        seen, reward, _, _, info = envs.step(action)
        observer.update(action, seen, reward)
    return np.array(predicted), np.array(targets), np.array(answers)


@pytest.mark.parametrize("feedback", FEEDBACKS)
@pytest.mark.parametrize("tier", ["Switch", "Noisy", "Alias", "Recur", "Hop"])
def test_lanes_do_not_touch_each_other(tier, feedback):
    params = make_params(tier, feedback=feedback)
    if not_computable(params):
        assert tier == "Recur"
        return
    together, _, _ = follow(params, [5, 6, 7], 40)
    for lane, seed in enumerate([5, 6, 7]):
        alone, _, _ = follow(params, [seed], 40)
        assert np.allclose(together[:, lane], alone[:, 0], atol=1e-12)


@pytest.mark.parametrize("tier", ["Switch", "Order2", "Recur", "Hop"])
def test_a_lane_that_restarts_in_mid_flight_begins_anew(tier):
    params, envs = make_params(tier), vector(tier, 2)
    observer = make_observer(params, 2)
    seen, _ = envs.reset(seed=[1, 2])
    observer.reset(every(2), seen)
    second = np.array([False, True])
    predicted = []
    for step in range(60):
        if step == 25:  # an odd step, so that a phase carried over would show
            seen, _ = envs.reset(seed=[1, 9], options={"reset_mask": second})
            observer.reset(second, seen)
        predicted.append(observer.predict())
        action = np.zeros(2, np.int64)
        seen, reward, _, _, _ = envs.step(action)
        observer.update(action, seen, reward)
    first, _, _ = follow(params, [1], 60)
    later, _, _ = follow(params, [9], 35)
    assert np.allclose(np.array(predicted)[:, 0], first[:, 0])
    assert np.allclose(np.array(predicted)[25:, 1], later[:, 0])


@pytest.mark.parametrize("tier", ["Switch", "Hop"])
def test_flat_and_dictionary_observations_tell_the_same(tier):
    params = make_params(tier)
    plain, _, _ = follow(params, [3, 4], 50)
    flat, _, _ = follow(params, [3, 4], 50, flat=True)
    assert np.array_equal(plain, flat)


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("feedback", FEEDBACKS)
def test_only_recur_with_masked_tokens_is_not_computable(tier, feedback):
    reason = not_computable(make_params(tier, feedback=feedback))
    masked_recur = tier == "Recur" and feedback in ("bandit", "probe")
    assert (reason is not None) == masked_recur


def test_the_refusal_names_tier_states_and_limit():
    params = make_params("Recur", feedback="bandit")
    assert num_states(params) == 35_960 * 4 * 97  # sets of 4 of 32, the one in use, the token
    with pytest.raises(OptionError, match=rf"Recur.*13,952,480 states.*{MAX_STATES:,}"):
        make_observer(params, 1)


def test_recur_narrows_to_the_rules_of_the_episode():
    params = make_params("Recur", max_episode_steps=None)
    envs = vector("Recur", 1, max_episode_steps=-1)
    observer = make_observer(params, 1)
    seen, info = envs.reset(seed=[0])
    observer.reset(every(1), seen)
    met = {int(info["rule"][0])}
    for _ in range(1500):
        seen, reward, _, _, info = envs.step(np.zeros(1, np.int64))
        observer.update(np.zeros(1, np.int64), seen, reward)
        met.add(int(info["rule"][0]))
    assert len(met) == 4
    assert set(np.flatnonzero(observer.rule_belief()[0])) <= met


def test_hop_is_certain_in_every_mode_and_a_short_history_does_not_confuse_it():
    for feedback in FEEDBACKS:
        for history in (9, 10, 64):
            params = make_params("Hop", feedback=feedback, history=history)
            predicted, targets, _ = follow(params, range(8), 150, history=history)
            assert np.array_equal(predicted.argmax(axis=2), targets), (feedback, history)


def test_a_listing_is_told_from_an_answer():
    old = np.arange(20)[None]
    assert not listed(old, np.append(old[:, 2:], [[7, 3]], axis=1))[0]
    assert listed(old, np.append(old[:, 10:], [[9, *range(8), 1]], axis=1))[0]


def test_hop_surprise_is_the_price_of_a_new_permutation():
    envs = vector("Hop", 1, schedule="periodic", period=3)
    observer = HopObserver(make_params("Hop", schedule="periodic", period=3), 1)
    seen, _ = envs.reset(seed=[0])
    observer.reset(every(1), seen)
    surprises = []
    for _ in range(6):
        seen, reward, _, _, _ = envs.step(np.zeros(1, np.int64))
        observer.update(np.zeros(1, np.int64), seen, reward)
        surprises.append(observer.surprise[0])
    assert np.allclose(surprises, [0.0, 0.0, np.log(40320)] * 2)


@pytest.mark.parametrize(
    ("tier", "feedback"),
    [("Noisy", "reveal"), ("Switch", "bandit"), ("Affine", "closed"), ("Hop", "probe")],
)
def test_replay_recovers_what_the_observer_held_during_play(tier, feedback):
    params = make_params(tier, feedback=feedback)
    predicted, targets, answers = follow(params, [11, 12], 80)
    trace = replay_belief(replace(params, flat=True), [11, 12], answers.T)
    env: Any = gym.make(f"tropism/PatternWorld-{tier}-v0", feedback=feedback).unwrapped
    offered = env.replay_belief([11, 12], answers.T)
    assert all(np.array_equal(offered[name], trace[name]) for name in trace)
    chance = np.take_along_axis(predicted, targets[..., None], 2)[..., 0]
    assert np.allclose(trace["ideal_log_prob"], np.log(chance).T)
    assert np.array_equal(trace["ideal_argmax"], predicted.argmax(axis=2).T)
    assert np.allclose(trace["ideal_entropy"], entropy(predicted).T)
    assert all(values.shape == (2, 80) for values in trace.values())
    assert (trace["belief_kl"][:, 0] == 0).all()
    assert (trace["belief_kl"] >= 0).all()


@pytest.mark.parametrize("feedback", ["reveal", "closed"])
@pytest.mark.parametrize("tier", ["Seed", "Switch", "Noisy", "Order2", "Alias", "Hop"])
def test_the_rule_itself_is_told_apart_from_noise(tier, feedback):
    env: Any = gym.make(f"tropism/PatternWorld-{tier}-v0", feedback=feedback).unwrapped
    answers = np.random.default_rng(0).integers(env.params.vocabulary, size=(1, 200))
    _, info = env.reset(seed=5)
    target = []
    for action in answers[0]:
        target.append(info["target"])
        _, _, _, _, info = env.step(action)
    differs = env.replay_belief([5], answers)["rule_target"][0] != target
    assert 0.05 < differs.mean() < 0.17 if env.params.noise else not differs.any()


def test_belief_moves_most_just_after_a_switch():
    params, steps = make_params("Affine"), 600
    envs = vector("Affine", 4)
    _, info = envs.reset(seed=[0, 1, 2, 3])
    since = []
    for _ in range(steps):
        since.append(info["since_switch"])
        _, _, _, _, info = envs.step(np.zeros(4, np.int64))
    gain = replay_belief(params, range(4), np.zeros((4, steps), np.int64))["belief_kl"]
    after = np.array(since).T == 1
    assert gain[after].mean() > 20 * gain[~after].mean()
