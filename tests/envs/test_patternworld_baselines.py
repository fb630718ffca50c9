"""The reference players of PatternWorld: what they score, and that none beats the ideal observer."""

from __future__ import annotations

import functools

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

import tropism.envs  # noqa: F401  registers the ids
from tropism.envs.core.baselines import Baseline
from tropism.envs.patternworld.baselines import BASELINES, baseline_names, make_baseline
from tropism.envs.patternworld.baselines_table import CusumTable, SuccessorTable
from tropism.envs.patternworld.params import FEEDBACKS, TIERS, make_params
from tropism.errors import OptionError, UnknownNameError

LANES, STEPS = 20, 1000
SHORT = {"Seed": 300, "Heldout": 300, "Recur": 300, "Alias": 300, "Hop": 100}
"""Shorter episodes of the tiers without a figure to meet."""


def play(tier: str, name: str, lanes: int, steps: int, **options):
    """Rewards, actions, log-probabilities and targets, each [steps, lanes, ...]."""
    envs = gym.make_vec(
        f"tropism/PatternWorld-{tier}-v0",
        lanes,
        autoreset_mode=AutoresetMode.DISABLED,
        **options,
    )
    options.pop("flat", None)
    player = make_baseline(name, make_params(tier, **options), lanes)
    seeds = np.arange(10_000, 10_000 + lanes)
    seen, info = envs.reset(seed=seeds.tolist())
    player.reset(np.ones(lanes, bool), seeds.astype(np.uint64))
    record = []
    for _ in range(steps):
        action, log_probs = player.act(seen, info)
        target = info["target"]
        seen, reward, terminated, truncated, info = envs.step(action)
        player.observe(action, seen, reward, terminated, truncated, info)
        record.append((reward, action, log_probs, target))
    return [np.array(part) for part in zip(*record, strict=True)]


@functools.cache
def accuracy(tier: str, name: str) -> np.ndarray:
    """Accuracy of each of the 20 test episodes."""
    _, action, _, target = play(tier, name, LANES, SHORT.get(tier, STEPS))
    return (action == target).mean(axis=0)


# Figures of the specification (10 episodes of another draw of rules), for the ideal ± .01.
@pytest.mark.parametrize(
    ("tier", "expected"),
    [("Switch", 0.966), ("Affine", 0.974), ("Noisy", 0.869), ("Fast", 0.874), ("Order2", 0.975)],
)
def test_ideal_accuracy(tier, expected):
    assert accuracy(tier, "ideal").mean() == pytest.approx(expected, abs=0.01)


def test_simple_players_on_switch():
    assert accuracy("Switch", "table").mean() == pytest.approx(0.836, abs=0.02)
    assert accuracy("Switch", "last-difference").mean() == pytest.approx(0.355, abs=0.06)
    assert accuracy("Switch", "random").mean() == pytest.approx(0.01, abs=0.003)


def test_oracle_loses_to_noise_only():
    assert (accuracy("Switch", "oracle") == 1).all()
    assert accuracy("Noisy", "oracle").mean() == pytest.approx(0.9 + 0.1 / 97, abs=0.006)


def test_seed_is_predictable_for_who_knows_its_schedule():
    assert (accuracy("Seed", "ideal") == 1).all()


@pytest.mark.parametrize("tier", TIERS)
def test_no_player_without_labels_beats_the_ideal_observer(tier):
    ideal = accuracy(tier, "ideal")
    for name in ("random", "last-difference", "table", "cusum", "map"):
        excess = accuracy(tier, name) - ideal  # paired: the same seeds
        allowed = 2 * excess.std(ddof=1) / np.sqrt(LANES)
        assert excess.mean() <= allowed + 1e-12, name
    assert accuracy(tier, "oracle").mean() >= ideal.mean()


@pytest.mark.parametrize("feedback", FEEDBACKS)
@pytest.mark.parametrize("tier", ["Seed", "Noisy", "Order2", "Alias", "Hop"])
@pytest.mark.parametrize("name", BASELINES)
def test_every_player_plays_every_mode(tier, feedback, name):
    options = {"feedback": feedback}
    reward, action, log_probs, _ = play(tier, name, 3, 20, **options)
    _, flat_action, _, _ = play(tier, name, 3, 20, flat=True, **options)
    n = make_params(tier, **options).num_actions
    assert np.array_equal(action, flat_action)
    assert action.dtype.kind == "i"
    assert action.min() >= 0
    assert action.max() < n
    assert log_probs.shape == (20, 3, n)
    assert np.allclose(np.exp(log_probs).sum(axis=-1), 1.0)
    assert np.isfinite(reward).all()


@pytest.mark.parametrize("feedback", FEEDBACKS)
def test_the_oracle_is_never_wrong_without_noise(feedback):
    for tier in ("Switch", "Order2", "Recur", "Hop"):
        reward, *_ = play(tier, "oracle", 3, 150, feedback=feedback)
        assert (reward == 1).all(), tier


@pytest.mark.parametrize("name", BASELINES)
@pytest.mark.parametrize("feedback", ["reveal", "bandit"])
def test_lanes_are_independent_of_their_company(name, feedback):
    _, together, _, _ = play("Noisy", name, 4, 60, feedback=feedback)
    _, alone, _, _ = play("Noisy", name, 1, 60, feedback=feedback)
    assert np.array_equal(together[:, :1], alone)


def test_peeking_serves_who_has_lost_the_token():
    for name in ("table", "ideal"):
        reward, action, _, _ = play("Switch", name, 4, 300, feedback="probe")
        peeked = action == 100
        assert peeked.any(), name
        assert (reward[peeked] == np.float32(-0.2)).all()
    masked = play("Switch", "table", 4, 300, feedback="bandit")[0].mean()
    assert play("Switch", "table", 4, 300, feedback="probe")[0].mean() > 5 * masked


class Drill:
    """Feeds a table player tokens by hand and tells its answers."""

    def __init__(self, kind: type[SuccessorTable], feedback: str = "reveal") -> None:
        self.params = make_params("Switch", feedback=feedback, history=2)
        self.player: Baseline = kind(self.params, 1)
        self.tokens: list[int] = []

    def begin(self, token: int) -> None:
        self.tokens = [100, token]
        self.player.reset(np.ones(1, bool), np.zeros(1, np.uint64))

    def answer(self) -> int:
        return int(self.player.act(self._seen(), {})[0][0])

    def show(self, token: int, answer: int, reward: float) -> None:
        self.tokens.append(token)
        done = np.zeros(1, bool)
        action = np.array([answer])
        self.player.observe(action, self._seen(), np.array([reward]), done, done, {})

    def _seen(self):
        return np.array([[*self.tokens[-2:], 0, 0, 0]], np.float32)


def test_table_remembers_successors_until_the_episode_ends():
    drill = Drill(SuccessorTable)
    drill.begin(3)
    assert drill.answer() == 4
    drill.show(50, 4, 0.0)
    assert drill.answer() == 51
    drill.show(3, 51, 0.0)
    assert drill.answer() == 50
    drill.begin(3)
    assert drill.answer() == 4


def test_table_searches_where_only_the_reward_is_known():
    drill = Drill(SuccessorTable, "closed")
    drill.begin(3)
    for expected in (4, 5, 6):
        assert drill.answer() == expected
        drill.show(3, expected, 0.0)  # back at 3 by hand
        drill.player.token[:] = 3
    assert drill.answer() == 7


def test_cusum_forgets_what_predates_the_change_and_keeps_the_rest():
    drill = Drill(CusumTable)
    drill.begin(0)
    for token in (10, 20, 0, 10, 20, 0):  # learns 0 -> 10 -> 20 -> 0
        drill.show(token, drill.answer(), 0.0)
    drill.show(30, drill.answer(), 0.0)  # first error: 0 -> 30; the change is dated here
    drill.show(10, drill.answer(), 0.0)  # 30 was not learned, so it is not judged
    drill.show(40, drill.answer(), 0.0)  # second error, 10 -> 40: alarm
    assert drill.player._table[0, 0, [0, 30, 10, 20]].tolist() == [30, 10, 40, 21]


def test_names_follow_what_is_computable():
    assert set(baseline_names(make_params("Recur"))) == set(BASELINES)
    masked = make_params("Recur", feedback="probe")
    assert set(BASELINES) - set(baseline_names(masked)) == {"map", "ideal"}
    with pytest.raises(OptionError, match="states a lane"):
        make_baseline("ideal", masked, 1)


def test_unknown_name_suggests_the_nearest():
    with pytest.raises(UnknownNameError, match="cusum"):
        make_baseline("cusun", make_params("Switch"), 1)


def test_the_environment_offers_its_baselines():
    env = gym.make("tropism/PatternWorld-Switch-v0").unwrapped
    assert env.baselines == tuple(BASELINES)
    for name in env.baselines:
        assert env.make_baseline(name, 2).num_lanes == 2
    assert env.make_baseline("oracle", 1).privileged
    assert not env.make_baseline("ideal", 1).privileged
