from __future__ import annotations

from collections import Counter
from itertools import pairwise

import gymnasium as gym
import numpy as np
import pytest

from tropism.envs.core.random import seed_key
from tropism.envs.patternworld.params import SCHEDULES, TIERS, make_params
from tropism.envs.patternworld.permutations import hop, rank, unrank
from tropism.envs.patternworld.reference import make_reference
from tropism.envs.patternworld.rules import dwell_thresholds, library


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
