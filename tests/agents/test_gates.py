from __future__ import annotations

import numpy as np
import pytest

from tropism.agents.contract import Task
from tropism.agents.evaluate import ComputePrice, RandomGate, TokenBucket, evaluate

from .players import Listener

TASK = Task("tropism/PatternWorld-Switch-v0", {"max_episode_steps": 400})
SEEDS = (10_000, 10_001, 10_002)


def play(gate, lanes=None, seeds=SEEDS):
    policy = Listener(TASK.spaces()[1])
    return evaluate(policy, TASK, seeds, gate=gate, lanes=lanes), policy


def modes(episodes):
    assert all(episode.gated is not None for episode in episodes)
    return [episode.gated.tolist() for episode in episodes]


def test_random_gate_imposes_its_rate_whatever_the_lanes():
    together, policy = play(RandomGate(0.3, seed=5))
    assert modes(together) == modes(play(RandomGate(0.3, seed=5), lanes=1)[0])
    assert modes(together)[1:] == modes(play(RandomGate(0.3, seed=5), seeds=SEEDS[1:])[0])
    assert all(gate.dtype == np.bool_ and gate.shape == (3,) for gate in policy.gates)
    draws = np.array(modes(together))
    # 1,200 draws: the standard error of the rate is 0.013
    assert draws.mean() == pytest.approx(0.3, abs=0.05)
    assert not np.array_equal(draws[0], draws[1])


def test_random_gate_depends_on_its_seed_and_is_independent_over_steps():
    first, second = (np.array(modes(play(RandomGate(0.5, seed=s))[0])).ravel() for s in (1, 2))
    assert not np.array_equal(first, second)
    for lag in (1, 2, 7):
        agreement = (first[lag:] == first[:-lag]).mean()
        assert agreement == pytest.approx(0.5, abs=0.06)


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_random_gate_at_its_ends(rate):
    assert {mode for lane in modes(play(RandomGate(rate))[0]) for mode in lane} == {bool(rate)}


@pytest.mark.parametrize("rate", [-0.1, 1.1, float("nan")])
def test_random_gate_refuses_a_rate_out_of_range(rate):
    with pytest.raises(ValueError, match=r"RandomGate\.rate must be in \[0, 1\]"):
        RandomGate(rate)


def test_bucket_is_played_in_one_lane_and_never_overdrawn():
    # the listener's costly mode costs 5 units, its cheap one 1
    bucket = TokenBucket(rate=1.2, capacity=10, costly=5)
    episodes, policy = play(bucket)
    assert {episode.lanes for episode in episodes} == {1}
    for episode in episodes:
        assert episode.compute.sum() <= 10 + 1.2 * len(episode)
    assert any(gate is None for gate in policy.gates)
    assert all(gate is None or not gate.any() for gate in policy.gates)
    alone, _ = play(TokenBucket(rate=1.2, capacity=10, costly=5), seeds=SEEDS[2:])
    assert modes(alone) == modes(episodes[2:])  # the bucket begins each episode full


def test_bucket_follows_its_level():
    bucket = TokenBucket(rate=1, capacity=6, costly=4)
    bucket.begin(0, 1)
    levels = []
    for compute in (4, 1, 1, 1, 4):
        levels.append((bucket.level, bucket.impose(1) is None))
        bucket.charge(np.array([compute]))
    assert levels == [(6, True), (3, False), (3, False), (3, False), (3, False)]
    bucket.charge(np.array([0]))
    assert bucket.level == 2
    bucket.begin(0, 2)
    assert bucket.level == 6


def test_rich_bucket_never_interferes():
    episodes, policy = play(TokenBucket(rate=5, capacity=5, costly=5))
    assert all(gate is None for gate in policy.gates)
    assert modes(episodes) == modes(play(None, lanes=1)[0])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((0, 1), "rate must be > 0"),
        ((1, 0), "capacity must be > 0"),
        ((1, 2, 3), "never fits into capacity"),
    ],
)
def test_bucket_refuses_nonsense(values, message):
    with pytest.raises(ValueError, match=message):
        TokenBucket(*values)


def test_price_of_compute():
    (episode, *_), _ = play(None)
    assert ComputePrice(0).net(episode) == episode.score
    assert ComputePrice(0.5).net(episode) == episode.score - 0.5 * episode.compute.sum()
    with pytest.raises(ValueError, match="kappa must be >= 0, got -1"):
        ComputePrice(-1)
