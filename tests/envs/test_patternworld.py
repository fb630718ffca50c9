"""The dynamics of PatternWorld against closed forms, counts and the origin."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import InvalidAction, ResetNeeded

import tropism.envs
from tropism.agents.contract import Task
from tropism.envs.core.random import seed_key
from tropism.envs.patternworld.env import PatternWorldEnv
from tropism.envs.patternworld.params import SCHEDULES, TIERS, make_params
from tropism.envs.patternworld.permutations import hop, rank, unrank
from tropism.envs.patternworld.reference import make_reference
from tropism.envs.patternworld.rules import dwell_thresholds, library
from tropism.errors import OptionError, UnknownNameError


def play(tier, steps, seed=0, options=None, **overrides):
    """Rows ``(t, token, previous, rule, switched, since, target, stale, query)``, answering 0 for ever."""
    world = make_reference(make_params(tier, **overrides))
    world.reset(seed_key(seed), 0, options or {})
    rows = []
    for _ in range(steps):
        w = world
        rows.append(
            (
                w.t,
                w.token,
                w.previous,
                w.rule,
                w.switched,
                w.since,
                w.target,
                w.stale_target,
                w.query,
            )
        )
        world.step(0)
    return rows


def test_seed_tier_replays_the_origin():
    """The sequence printed by Omni-Zero's sim.py from x_0 = 6, switching every 30 steps."""
    targets = [row[6] for row in play("Seed", 90, options={"token": 6})]
    assert targets[:30] == list(range(7, 37))
    assert targets[30:34] == [72, 44, 88, 76]
    assert {b - a for a, b in pairwise(targets[60:])} == {1, -1}


@pytest.mark.parametrize("tier", ["Seed", "Switch"])
def test_arithmetic_rules_follow_their_closed_form(tier):
    for t, x, _, rule, _, _, target, *_ in play(tier, 10_000):
        step = (x + 1, 2 * x, x + (1 if t % 2 == 0 else -1))[rule]
        assert target == step % 100


@pytest.mark.parametrize("tier", ["Affine", "Fast", "Recur", "Heldout"])
def test_affine_rules_follow_the_formula_in_their_name(tier):
    names = library(TIERS[tier]).names
    for _, x, _, rule, _, _, target, *_ in play(tier, 10_000):
        a, b = (int(n) for n in names[rule].split(" x + "))
        assert target == (a * x + b) % 97


def test_second_order_rules_follow_the_formula_in_their_name():
    names = library(TIERS["Order2"]).names
    for _, x, y, rule, _, _, target, *_ in play("Order2", 10_000):
        a, b, c = (int(w) for w in names[rule].replace("x +", "").replace("y +", "").split())
        assert target == (a * x + b * y + c) % 97


@pytest.mark.parametrize("tier", TIERS)
def test_a_new_rule_differs_and_the_labels_agree(tier):
    rows = play(tier, 5_000)
    for before, now in pairwise(rows):
        assert now[4] == (before[3] != now[3])
        assert now[5] == (0 if now[4] else before[5] + 1)
    assert not rows[0][4]
    assert rows[0][7] == -1
    assert any(row[4] for row in rows)


def test_noise_has_its_rate_and_is_uniform():
    rows = play("Noisy", 40_000)
    table = library(TIERS["Noisy"]).table[:, 0]
    wrong = [row[6] for row in rows if row[6] != table[row[3], row[1]]]
    rate, expected = len(wrong) / len(rows), 0.1 * 96 / 97
    assert abs(rate - expected) < 4 * (expected * (1 - expected) / len(rows)) ** 0.5
    counts = np.bincount(wrong, minlength=97)
    chi2 = ((counts - counts.mean()) ** 2 / counts.mean()).sum()
    assert chi2 < 96 + 5 * (2 * 96) ** 0.5


@pytest.mark.parametrize(
    ("schedule", "mean", "least", "most"),
    [
        ("geometric", 20.0, 1, None),
        ("periodic", 7.0, 7, 7),
        ("minimum-dwell", 29.0, 10, None),
        ("cyclic", 7.0, 7, 7),
    ],
)
def test_schedules_have_their_law(schedule, mean, least, most):
    kwargs = {"schedule": schedule, "hazard": 1 / 20, "period": 7, "min_dwell": 9}
    rows = play("Affine", 40_000, **kwargs)
    starts = [row[0] for row in rows if row[4]]
    dwells = np.diff([0, *starts])
    error = dwells.std() / len(dwells) ** 0.5
    assert abs(dwells.mean() - mean) <= 4 * error + 1e-9
    assert dwells.min() >= least
    if most:
        assert dwells.max() <= most
    if (
        schedule == "geometric"
    ):  # memoryless: half the dwells are over after ln 2 / -ln(1 - h) steps
        share = (dwells > 13).mean()
        assert abs(share - 0.95**13) < 4 * (0.25 / len(dwells)) ** 0.5
    rules = [row[3] for row in rows if row[4]]
    if schedule == "cyclic":
        assert all((a + 1) % 8 == b for a, b in pairwise(rules))
    else:
        assert len({(b - a) % 8 for a, b in pairwise(rules)}) == 7


def test_every_schedule_is_covered():
    assert set(SCHEDULES) == {"geometric", "periodic", "minimum-dwell", "cyclic"}


def test_dwell_thresholds_are_the_survival_function():
    params = make_params("Switch")
    thresholds = dwell_thresholds(params)
    assert (np.diff(thresholds.astype(np.int64)) >= 0).all()
    survival = thresholds[::-1][:50] / 2**32
    np.testing.assert_allclose(survival, (29 / 30) ** np.arange(1, 51), rtol=0, atol=2**-31)


def test_alias_switches_cannot_be_seen_for_eight_steps():
    seen = 0
    table = library(TIERS["Alias"]).table[:, 0]
    for before, now in pairwise(play("Alias", 20_000)):
        if now[4]:
            seen += 1
            old = new = now[1]
            for _ in range(8):
                old, new = table[before[3], old], table[now[3], new]
                assert old == new
    assert seen > 300


def test_alias_rules_differ_in_half_their_steps():
    table = library(TIERS["Alias"]).table[:, 0]
    assert len({row.tobytes() for row in table}) == 81
    several = [len(set(column)) > 1 for column in table.T.tolist()]
    assert 40 <= sum(several) <= 56


def test_alias_rules_are_single_cycles():
    for row in library(TIERS["Alias"]).table[:, 0].tolist():
        x, visited = 0, set()
        while x not in visited:
            visited.add(x)
            x = row[x]
        assert len(visited) == 96


def test_hop_targets_are_hops_of_the_permutation_shown():
    env = gym.make("tropism/PatternWorld-Hop-v0")
    seen, info = env.reset(seed=3)
    shown = seen["history"][-9:-1].tolist()
    queries = Counter()
    for _ in range(999):
        symbol, k = int(seen["history"][-1]), int(seen["query_k"])
        assert info["target"] == hop(shown, symbol, k)
        assert info["required_compute"] == k
        queries[k] += 1
        seen, _, _, _, info = env.step(0)
        if info["switched"]:
            shown = seen["history"][-9:-1].tolist()
            assert sorted(shown) == list(range(8))
        assert info["rule"] == rank(shown)
    assert set(queries) == set(range(1, 9))


def test_rank_and_unrank_are_inverse():
    assert [rank(unrank(n)) for n in range(0, 40320, 997)] == list(range(0, 40320, 997))
    assert unrank(0) == list(range(8))
    assert unrank(40319) == list(range(7, -1, -1))


def test_recur_uses_four_rules_an_episode_and_comes_back_to_them():
    rules = [row[3] for row in play("Recur", 5_000) if row[4]]
    assert len(set(rules)) == 4
    assert {row[3] for seed in range(40) for row in play("Recur", 300, seed)} == set(range(32))


def test_heldout_splits_are_disjoint_halves():
    train, test, every = (
        set(library(make_params("Heldout", split=split)).names)
        for split in ("train", "test", "all")
    )
    assert train | test == every
    assert not train & test
    assert len(every) == 97 * 96 - 1
    assert abs(len(train) - len(test)) < 400


def test_another_library_holds_other_rules():
    assert set(library(make_params("Affine")).names) != set(
        library(make_params("Affine", library=1)).names
    )


@pytest.mark.parametrize("feedback", ["bandit", "probe"])
def test_masked_feedback_shows_no_answer_but_a_peeked_one(feedback):
    env = gym.make("tropism/PatternWorld-Affine-v0", feedback=feedback)
    _, info = env.reset(seed=0)
    seen, reward, *_ = env.step(info["target"])
    assert (reward, int(seen["history"][-1])) == (1.0, 97)
    if feedback == "probe":
        target = env.unwrapped.reference.target
        seen, reward, *_ = env.step(97)
        assert reward == np.float32(-0.2)
        assert int(seen["history"][-1]) == target


def test_closed_feedback_feeds_the_answer_back():
    env = gym.make("tropism/PatternWorld-Affine-v0", feedback="closed")
    env.reset(seed=0, options={"rule": 1, "dwell": 1000})
    table = library(TIERS["Affine"]).table[1, 0]
    for answer in (5, 50, 13):
        seen, *_, info = env.step(answer)
        assert int(seen["history"][-1]) == answer
        assert info["target"] == table[answer]


def test_reward_is_right_wrong_or_peek():
    env = gym.make("tropism/PatternWorld-Seed-v0")
    _, info = env.reset(seed=0)
    assert env.step(info["target"])[1] == 1.0
    assert env.step(99)[1] == np.float32(-0.1)


def test_flat_and_dictionary_show_the_same():
    flat, plain = (gym.make("tropism/PatternWorld-Hop-v0", flat=f) for f in (True, False))
    one, other = flat.reset(seed=1)[0], plain.reset(seed=1)[0]
    for action in (3, 1, 4, 1, 5):
        np.testing.assert_array_equal(one[:64], other["history"])
        assert one[64:].tolist() == [
            other["prev_action"],
            other["prev_reward"][0],
            other["query_k"],
        ]
        one, other = flat.step(action)[0], plain.step(action)[0]


def test_history_buffer_survives_long_episodes():
    env = gym.make("tropism/PatternWorld-Hop-v0", max_episode_steps=-1, flat=True, history=9)
    other = gym.make("tropism/PatternWorld-Hop-v0", max_episode_steps=-1, history=9)
    one, two = env.reset(seed=1)[0], other.reset(seed=1)[0]
    for _ in range(9_000):
        one, two = env.step(1)[0], other.step(1)[0]
        np.testing.assert_array_equal(one[:9], two["history"])


@pytest.mark.parametrize("action", [97, -1, 1.5, "3", None, True, np.array([1, 2])])
def test_invalid_actions_are_named(action):
    env = gym.make("tropism/PatternWorld-Affine-v0").unwrapped
    env.reset(seed=0)
    with pytest.raises(InvalidAction, match=r"\[0, 97\)"):
        env.step(action)


@pytest.mark.parametrize(
    "batch", [[1, 2], [[1], [2], [3]], [1.0, 2.0, 3.0], [1, 97, 2], [1, -1, 2], ["a", "b", "c"]]
)
def test_invalid_batches_are_named(batch):
    env = gym.make_vec("tropism/PatternWorld-Affine-v0", 3)
    env.reset(seed=0)
    with pytest.raises(InvalidAction, match="actions must"):
        env.step(np.array(batch))


@pytest.mark.parametrize("seed", [1.5, -1, True])
def test_seeds_of_lanes_must_be_whole(seed):
    env = gym.make_vec("tropism/PatternWorld-Affine-v0", 2)
    with pytest.raises(gym.error.Error, match="integer >= 0"):
        env.reset(seed=[seed, 2])


def test_training_never_sees_the_rules_of_the_test():
    task = Task("tropism/PatternWorld-Heldout-v0")
    rules = [set(library(task.make(train=t).unwrapped.params).names) for t in (True, False)]
    assert not rules[0] & rules[1]
    assert task.make_vec(2, train=True).unwrapped.params.split == "train"
    every = Task("tropism/PatternWorld-Heldout-v0", {"split": "all"})
    assert every.make(train=True).unwrapped.params.split == "all"


def test_steps_out_of_order_are_refused():
    with pytest.raises(ResetNeeded, match="reset"):
        gym.make("tropism/PatternWorld-Affine-v0").unwrapped.step(0)
    env = gym.make_vec("tropism/PatternWorld-Affine-v0", 2)
    with pytest.raises(ResetNeeded, match="reset"):
        env.step(np.zeros(2, int))
    env = gym.make_vec(
        "tropism/PatternWorld-Affine-v0", 2, autoreset_mode="DISABLED", max_episode_steps=1
    )
    env.reset(seed=0)
    env.step(np.zeros(2, int))
    with pytest.raises(ResetNeeded, match=r"lanes \[0, 1\]"):
        env.step(np.zeros(2, int))


@pytest.mark.parametrize(
    ("kwargs", "error", "message"),
    [
        ({"hazard": 0}, OptionError, r"hazard must be a number in \[0.001, 1.0\], got 0"),
        ({"hazard": "high"}, OptionError, "hazard"),
        ({"noise": 1.5}, OptionError, "noise"),
        ({"history": 0}, OptionError, "history"),
        ({"feedback": "reveall"}, UnknownNameError, "'reveal'"),
        ({"schedule": "periodical"}, UnknownNameError, "'periodic'"),
        ({"hazrad": 0.1}, UnknownNameError, "'hazard'"),
        ({"agreement": 3}, OptionError, "Alias"),
        ({"num_rules": 4, "active_rules": 6}, OptionError, "active_rules=6"),
        ({"tier": "Switch", "active_rules": 2}, OptionError, "active_rules=2"),
        ({"tier": "Order2", "num_rules": 0}, OptionError, "num_rules=0"),
        ({"flat": "no"}, OptionError, "flat must be true or false"),
        ({"reward_right": 2.0}, OptionError, "reward_right"),
        ({"reward_wrong": 1.0}, OptionError, "must exceed"),
        ({"first_token": [5, 97]}, OptionError, r"\[5, 97\]"),
    ],
)
def test_bad_options_are_named(kwargs, error, message):
    with pytest.raises(error, match=message):
        gym.make("tropism/PatternWorld-Affine-v0", **kwargs).reset()


def test_unknown_render_modes_suggest_the_nearest():
    with pytest.raises(UnknownNameError, match="rgb_array"):
        PatternWorldEnv(render_mode="rgb")


def test_unknown_tiers_and_ids_suggest_the_nearest():
    with pytest.raises(UnknownNameError, match="'Switch'"):
        make_params("Swich")
    with pytest.raises(gym.error.NameNotFound, match="PatternWorld-Switch"):
        gym.make("tropism/PatternWorld-Swich-v0")
    with pytest.raises(UnknownNameError, match="PatternWorld-Switch"):
        tropism.envs.make_functional("tropism/PatternWorld-Swich-v0")


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"tokn": 1}, UnknownNameError),
        ({"token": 97}, OptionError),
        ({"dwell": 0}, OptionError),
        ({"rule": 1.5}, OptionError),
    ],
)
@pytest.mark.parametrize("vector", [False, True])
def test_bad_reset_options_are_named(options, error, vector):
    env = (
        gym.make_vec("tropism/PatternWorld-Affine-v0", 2)
        if vector
        else gym.make("tropism/PatternWorld-Affine-v0")
    )
    with pytest.raises(error):
        env.reset(seed=0, options=options)
