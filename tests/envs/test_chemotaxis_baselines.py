"""The reference players of Chemotaxis: exact where they say so, in the right order, each lane for itself."""

from __future__ import annotations

import functools
import itertools

import gymnasium as gym
import numpy as np
import pytest

import tropism.envs  # noqa: F401  registers the ids
from tropism.agents.recording import merge_info
from tropism.envs.chemotaxis.baselines import BASELINES, baseline_names, make_baseline
from tropism.envs.chemotaxis.levels import LEVELS, make_params
from tropism.envs.chemotaxis.oracle import is_exact
from tropism.envs.chemotaxis.oracle_fields import FAR, cost_of_moves, distances
from tropism.envs.core.wrappers import HideVectorLabels
from tropism.errors import OptionError, UnknownNameError

LANES = 300
PLAYERS = [(level, name) for level in LEVELS for name in baseline_names(make_params(level))]


def vector(level: str, lanes: int, **options):
    return gym.make_vec(
        f"tropism/Chemotaxis-{level}-v0", lanes, autoreset_mode="NEXT_STEP", **options
    )


def play(level, name, lanes, limit=None, seed=10_000, reset=None, hide=False, **options):
    """Actions [steps, B] and, of the first life of each lane, the return [B] (recorded until it ends)."""
    params = make_params(level, **options)
    envs = vector(level, lanes, **options)
    envs = HideVectorLabels(envs) if hide else envs
    player = make_baseline(name, params, lanes)
    seeds = np.arange(seed, seed + lanes)
    seen, info = envs.reset(seed=seeds.tolist(), options=reset)
    player.reset(np.ones(lanes, bool), seeds.astype(np.uint64))
    returns, alive, actions = np.zeros(lanes), np.ones(lanes, bool), []
    for _ in range(limit or params.steps):
        action, _ = player.act(seen, info)
        seen, reward, terminated, truncated, info = envs.step(action)
        player.observe(action, seen, reward, terminated, truncated, info)
        returns += np.where(alive, reward, 0)
        actions.append(np.where(alive, action, -1))
        alive &= ~(terminated | truncated)
    return np.array(actions), returns


@functools.cache
def score(level: str, name: str) -> np.ndarray:
    return play(level, name, LANES)[1]


# -- the exact oracle ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"width": 5, "num_sources": 2, "num_harmful": 1},
        {"width": 3, "height": 2, "num_sources": 3, "num_harmful": 1},
        {"width": 2, "height": 3, "num_sources": 3, "num_harmful": 2, "harm": 1.0},
        {"width": 3, "height": 3, "num_sources": 2, "num_harmful": 0, "terminate_on_reach": True},
        {"width": 4, "num_sources": 4, "num_harmful": 2, "energy_gain": 0.3, "reach_weight": 1.0},
    ],
    ids=str,
)
def test_exact_oracle_is_as_good_as_any_sequence_of_actions(options):
    options = {"harm": 0.5, "steps": 6, **options}
    sequences = np.array(list(itertools.product(range(5), repeat=6)))
    for seed in range(8):
        _, info = vector("L0.2", 1, **options).reset(seed=seed)
        sources = info["sources"][0]
        layout = {"sources": sources[:, :2], "harmful": sources[:, 2] == 1}
        envs = vector("L0.2", len(sequences), **options)
        envs.reset(seed=0, options=layout)
        best, alive = np.zeros(len(sequences)), np.ones(len(sequences), bool)
        for action in sequences.T:
            _, reward, terminated, truncated, _ = envs.step(action)
            best += np.where(alive, reward, 0)
            alive &= ~(terminated | truncated)
        assert play("L0.2", "oracle", 1, seed=seed, **options)[1][0] == best.max()


# The figures and standard errors of the origin's own worlds (512 lives): 206.4 ± .1, 208.7 ± .25.
@pytest.mark.parametrize(
    ("level", "expected", "error"), [("L0.0", 206.4, 0.1), ("L0.2", 208.7, 0.25)]
)
def test_exact_oracle_scores_what_is_published(level, expected, error):
    found = score(level, "oracle")
    spread = np.hypot(found.std(ddof=1) / np.sqrt(LANES), error)
    assert found.mean() == pytest.approx(expected, abs=3 * spread)


def test_oracle_says_where_it_is_exact():
    exact = {level for level in LEVELS if is_exact(make_params(level))}
    assert exact == {"L0.0", "L0.1", "L0.2", "L0.2-Informed"}
    assert not is_exact(make_params("L0.2", steps=90))  # 72 units a step: starves in the 89th


# -- the others ---------------------------------------------------------------------------------------------


def test_memory_and_knowledge_pay_on_l0_2():
    random, greedy, probe, oracle = (
        score("L0.2", name).mean() for name in ("random", "greedy", "probe", "oracle")
    )
    assert random + 10 < greedy
    assert greedy + 35 < probe
    assert probe + 3 < oracle
    assert probe > 193  # 193.7: a hand-written controller with the same senses


@pytest.mark.parametrize("level", LEVELS)
def test_the_oracle_is_clearly_ahead_of_the_heuristic(level):
    gap = score(level, "oracle") - score(level, "heuristic")  # paired: the same worlds
    assert gap.mean() > 0.1 * score(level, "oracle").mean()
    assert gap.mean() > 3 * gap.std(ddof=1) / np.sqrt(LANES)


@pytest.mark.parametrize("level", LEVELS)
def test_nobody_without_labels_beats_the_oracle(level):
    for name in baseline_names(make_params(level)):
        excess = score(level, name) - score(level, "oracle")
        assert excess.mean() <= 2 * excess.std(ddof=1) / np.sqrt(LANES)


def test_probe_camps_at_a_harmless_source_and_leaves_a_harmful_one():
    layout = {"sources": [(34, 0), (40, 0)], "harmful": [True, False]}
    options = {"num_sources": 2, "num_harmful": 1}
    actions, returns = play("L0.2", "probe", 1, reset=layout, **options)
    assert actions[:8, 0].tolist() == [4] * 8  # on over the bad place to the good one
    assert set(actions[8:, 0]) == {3, 4}
    assert returns[0] == 128 + 50 + 61 * 0.5


def test_probe_rests_where_one_more_harm_would_kill():
    _, returns = play("L1.0", "probe", LANES)
    assert (returns > 120).mean() > 0.95


# -- planners -----------------------------------------------------------------------------------------------


def last(level, name, **options):
    """Labels at the end of the first life of each of 40 lanes."""
    params = make_params(level, **options)
    envs, player = vector(level, 40, **options), make_baseline(name, params, 40)
    seen, info = envs.reset(seed=0)
    player.reset(np.ones(40, bool), np.arange(40, dtype=np.uint64))
    found, alive = {}, np.ones(40, bool)
    while alive.any():
        seen, _, terminated, truncated, info = envs.step(player.act(seen, info)[0])
        over = alive & (terminated | truncated)
        for key in ("reached", "bad_arrivals", "integrity_lost", "t_alive"):
            found.setdefault(key, np.array(info[key]))[over] = info[key][over]
        alive &= ~over
    return found


@pytest.mark.parametrize("level", ["L1.2", "L2.2", "L3.0", "L3.1", "L3.2", "L4.0", "L4.1", "L5.0"])
def test_the_planner_lives_to_the_end_and_reaches_something(level):
    found = last(level, "oracle")
    assert found["reached"].all()
    assert (found["t_alive"] == make_params(level).steps).all()


def test_the_planner_waits_for_the_season_and_is_in_the_shelter_in_time():
    assert last("L4.1", "oracle")["bad_arrivals"].mean() < 0.3
    assert last("L3.1", "oracle")["integrity_lost"].mean() < 0.1 * 6400
    assert last("L3.1", "heuristic")["integrity_lost"].mean() > 0.9 * 6400


def test_the_planner_goes_through_the_gap_of_a_wall():
    envs = vector("L1.2", 1)
    _, info = envs.reset(seed=0)
    column, gap = info["walls"][0, 0]
    layout = {"sources": [(column + 1, gap)] * 2, "position": (column - 1, gap ^ 1)}
    seen, info = envs.reset(seed=0, options=layout)
    player = make_baseline("oracle", make_params("L1.2"), 1)
    for _ in range(3):
        seen, *_, info = envs.step(player.act(seen, info)[0])
    assert (info["x"][0], info["y"][0]) == (column + 1, gap)
    assert info["good_arrivals"][0] == 2


def test_the_planner_takes_what_is_needed():
    layout = {"sources": [(9, 8), (0, 0), (0, 0), (7, 8), (0, 0), (0, 0)]}  # food right, water left
    for energy, hydration, step in ((0.2, 0.9, 4), (0.9, 0.2, 3)):
        envs, player = vector("L2.0", 1), make_baseline("oracle", make_params("L2.0"), 1)
        needs = {"energy": energy, "hydration": hydration}
        seen, info = envs.reset(seed=0, options=layout | needs)
        assert player.act(seen, info)[0].tolist() == [step]


# -- each lane for itself -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("level", "name"), PLAYERS)
def test_lanes_are_independent_of_their_company(level, name):
    steps = 40
    together = play(level, name, 4, steps, seed=5)[0]
    alone = play(level, name, 1, steps, seed=7)[0]
    assert np.array_equal(together[:, 2:3], alone)
    assert together.max() < 5


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", ["greedy", "heuristic", "probe", "stay", "random"])
def test_only_the_oracle_reads_labels(level, name):
    if name in baseline_names(make_params(level)):
        open_, hidden = (play(level, name, 3, 30, hide=hide)[0] for hide in (False, True))
        assert np.array_equal(open_, hidden)


@pytest.mark.parametrize(("level", "name"), PLAYERS)
def test_a_lane_that_is_reset_forgets_and_the_others_do_not(level, name):
    expected = play(level, name, 2, 30, seed=3)[0]
    envs, player = vector(level, 2), make_baseline(name, make_params(level), 2)
    seeds = np.array([3, 4], np.uint64)
    seen, info = envs.reset(seed=[3, 4])
    player.reset(np.ones(2, bool), seeds)
    actions = []
    for t in range(30):
        if t == 12:
            mask = np.array([False, True])
            seen, fresh = envs.reset(seed=[3, 4], options={"reset_mask": mask})
            info = merge_info(info, fresh, mask)
            player.reset(mask, seeds)
        actions.append(player.act(seen, info)[0])
        seen, reward, terminated, truncated, info = envs.step(actions[-1])
        player.observe(actions[-1], seen, reward, terminated, truncated, info)
    found = np.array(actions)
    assert_same(expected[:, 0], found[:, 0])
    assert_same(expected[:18, 1], found[12:, 1])


def assert_same(expected: np.ndarray, found: np.ndarray) -> None:
    """Equal actions as long as the expected life lasts."""
    assert np.array_equal(expected[expected >= 0], found[: len(expected)][expected >= 0])


# -- names --------------------------------------------------------------------------------------------------


def test_names_and_privilege():
    assert baseline_names(make_params("L0.2")) == tuple(BASELINES)
    assert set(BASELINES) - set(baseline_names(make_params("L0.0"))) == {"probe"}
    with pytest.raises(OptionError, match="num_harmful"):
        make_baseline("probe", make_params("L0.0"), 1)
    with pytest.raises(UnknownNameError, match="probe"):
        make_baseline("prob", make_params("L0.2"), 1)
    for level, name in PLAYERS:
        player = make_baseline(name, make_params(level), 2)
        assert player.privileged == (name == "oracle")
        assert player.num_lanes == 2


def test_the_environment_offers_its_baselines():
    env = gym.make("tropism/Chemotaxis-L0.2-v0").unwrapped
    assert env.baselines == tuple(BASELINES)
    assert env.make_baseline("oracle", 2).num_lanes == 2


# -- distance fields ----------------------------------------------------------------------------------------


def test_distances_go_round_what_is_dear():
    entry = np.ones((3, 5, 1))
    entry[:2, 2] = FAR  # a wall with a gap in the last row
    targets = np.zeros((3, 5, 1), bool)
    targets[0, 4] = True
    field = distances(targets, entry)
    assert field[0, :, 0].tolist() == [8, 7, 2, 1, 0]  # who stands in the wall may leave it
    costs = cost_of_moves(field, entry, np.array([1]), np.array([0]))
    assert costs[:, 0].tolist() == [FAR, FAR, 7, 9, FAR]


def test_distances_are_far_without_a_target():
    field = distances(np.zeros((2, 2, 1), bool), np.ones((2, 2, 1)))
    assert (field == FAR).all()
