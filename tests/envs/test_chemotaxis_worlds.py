"""The rules of the Chemotaxis worlds beyond the origin's, one by one."""

from __future__ import annotations

from itertools import pairwise

import gymnasium as gym
import numpy as np
import pytest

from tropism.envs.chemotaxis.levels import LEVELS, make_params
from tropism.envs.chemotaxis.observation import DOWN, LEFT, RIGHT, STAY, UP, channels
from tropism.envs.chemotaxis.tables import growth, wall_columns

AROUND = {"up": UP, "down": DOWN, "left": LEFT, "right": RIGHT}


def make(level, **kwargs):
    return gym.make(f"tropism/Chemotaxis-{level}-v0", max_episode_steps=-1, **kwargs)


def begin(level, seed=0, *, options=None, **kwargs):
    env = make(level, **kwargs)
    seen, info = env.reset(seed=seed, options=options)
    return env, sense(env, seen), info


def sense(env, seen):
    return dict(zip(channels(env.unwrapped.params), seen.tolist(), strict=True))


def step(env, action=STAY):
    seen, reward, terminated, _, info = env.step(action)
    return sense(env, seen), reward, terminated, info


# -- walls --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("width", "walls"), [(16, 3), (16, 1), (11, 3), (5, 1), (64, 16)])
def test_walls_stand_apart_from_each_other_the_border_and_the_start(width, walls):
    params = make_params("L1.2", width=width, walls=walls)
    columns = wall_columns(params)
    assert columns.min() >= 1
    assert columns.max() <= width - 2
    assert params.start[0] not in columns
    assert all(a.max() + 1 < b.min() for a, b in pairwise(columns))


def test_a_wall_stops_a_move_and_is_felt_and_its_gap_lets_through():
    env, _, info = begin("L1.2")
    for x, gap in info["walls"].tolist():
        closed = 0 if gap else 1
        for row, passes in ((gap, True), (closed, False)):
            seen, _ = env.reset(seed=0, options={"position": (x - 1, row)})
            assert sense(env, seen)["blocked_right"] == (not passes)
            assert step(env, RIGHT)[3]["x"] == (x if passes else x - 1)


def test_the_border_is_felt_like_a_wall():
    _, seen, _ = begin("L1.2", options={"position": (0, 0)})
    assert (seen["blocked_up"], seen["blocked_left"]) == (1, 1)


def test_no_source_is_in_a_wall():
    for seed in range(60):
        _, _, info = begin("L1.2", seed, num_sources=16)
        walls = dict(info["walls"].tolist())
        assert all(walls.get(x, y) == y for x, y, *_ in info["sources"].tolist())


# -- needs --------------------------------------------------------------------------------------------------


NEEDS = {
    "energy_decay": 0.015,
    "energy_gain": 0.25,
    "hydration_decay": 0.015,
    "hydration_gain": 0.25,
    "gain_weight": 10.0,
}
"""Numbers that are easy to check by hand, whatever those of the levels are."""


def fed(level, kind, energy=0.5, hydration=0.5):
    """What one visit to a source of ``kind`` does: energy, hydration and reward of the step."""
    env = make(level, **NEEDS | ({"brine_cost": 0.1} if kind == "brine" else {}))
    params = env.unwrapped.params
    which = params.kind_of.index(params.kinds.index(kind))
    sources = np.zeros((params.total_sources, 2), int)
    sources[which] = 9, 8
    options = {"sources": sources, "energy": energy, "hydration": hydration}
    env.reset(seed=0, options=options)
    _, reward, _, info = step(env, RIGHT)
    return info["energy_units"], info["hydration_units"], reward, info


def test_each_kind_feeds_its_need():
    assert fed("L2.0", "food")[:3] == (3200 - 96 + 1600, 3200 - 96, 1 + 2.5 + 50)
    assert fed("L2.0", "water")[:3] == (3200 - 96, 3200 - 96 + 1600, 1 + 2.5 + 50)
    energy, hydration, reward, info = fed("L2.1", "brine")
    assert (energy, hydration, reward) == (3200 - 96 - 640, 3200 - 96 + 1600, 53.5)
    assert (info["energy_gained"], info["event"]) == (1600, 1600)


def test_only_what_the_body_holds_is_gained():
    energy, _, reward, info = fed("L2.0", "food", energy=0.95)
    assert (energy, info["energy_gained"]) == (6400, 6400 - (6080 - 96))
    assert reward == 51 + (416 // 5) / 128


@pytest.mark.parametrize("need", ["energy", "hydration"])
def test_the_want_of_either_kills(need):
    env, _, _ = begin("L2.0", options={need: 0.02, "position": (0, 0)}, **NEEDS)
    ends = [step(env)[2] for _ in range(2)]
    assert ends == [False, True]


def test_an_unfed_life_of_two_needs_ends_well_before_the_others():
    env, _, _ = begin("L2.0", num_sources=(1, 1), options={"sources": [(0, 0), (0, 0)]})
    lived = 1
    while not step(env)[2]:
        lived += 1
    assert lived < 0.6 * LEVELS["L2.0"].steps


# -- layouts ------------------------------------------------------------------------------------------------


def test_all_sources_stay_in_a_quadrant_for_some_episodes():
    env = make("L2.2", layout_period=3)
    _, info = env.reset(seed=5)
    quadrants = []
    for _ in range(30):
        x, y = info["sources"][:, :2].T >= 8
        assert set(x + 2 * y) == {info["quadrant"]}
        quadrants.append(info["quadrant"])
        _, info = env.reset()
    blocks = np.array(quadrants).reshape(10, 3)
    assert (blocks == blocks[:, :1]).all()
    assert len(set(quadrants)) > 2


# -- zones --------------------------------------------------------------------------------------------------


def test_a_zone_drains_inside_and_is_felt_around():
    env, _, info = begin("L3.0", zones=1)
    left, top, wide, high = info["zones"][0].tolist()
    assert (wide, high) == (4, 4)
    for x, y in [
        (left, top),
        (left + 3, top + 3),
        (max(left - 1, 0), top),
        (left, max(top - 1, 0)),
    ]:
        seen, _ = env.reset(seed=0, options={"position": (x, y)})
        felt = sense(env, seen)
        for side, (dx, dy) in {"here": (0, 0), "left": (-1, 0), "down": (0, 1)}.items():
            inside = 0 <= x + dx - left < 4 and 0 <= y + dy - top < 4
            assert felt[f"zone_{side}"] == inside, (side, x, y)
        info = step(env)[3]
        assert info["integrity_lost"] == 320 * felt["zone_here"]
        assert info["event"] == -info["integrity_lost"]


# -- storms -------------------------------------------------------------------------------------------------


def weather(level, seed, **kwargs):
    """Cue, storm and loss of each of 128 steps far from the shelter, without hunger or death."""
    env, _, info = begin(level, seed, energy_decay=0.0, storm_drain=0.001, **kwargs)
    left, top, *_ = info["shelter"].tolist()
    away = (0 if left > 1 else 15, 0 if top > 1 else 15)
    seen, info = env.reset(seed=seed, options={"position": away})
    felt, rows = sense(env, seen), []
    for _ in range(128):
        before = info["integrity_lost"]
        felt, _, _, info = step(env)
        rows.append((felt["cue"], felt["storm"], info["integrity_lost"] - before, info["storm_in"]))
    return np.array(rows)


def test_a_cue_comes_ten_steps_before_the_storm_and_nothing_between():
    cue, storm, lost, ahead = weather("L3.1", 0).T
    first = int(np.flatnonzero(cue)[0])
    assert cue[first : first + 16].tolist() == [1, 1] + [0] * 14
    assert storm[first : first + 17].tolist() == [0] * 10 + [1] * 6 + [0]
    assert ahead[first : first + 12].tolist() == [*range(10, 0, -1), 0, 0]
    assert (lost == 6 * storm).all()
    gaps = np.diff(np.flatnonzero(np.diff(cue) > 0)) - 16
    assert ((gaps >= 12) & (gaps <= 24)).all()


def test_the_shelter_shelters_and_has_a_gradient():
    env, _, info = begin("L3.1", seed=3)
    left, top, *_ = info["shelter"].tolist()
    seen, _ = env.reset(seed=3, options={"position": (left + 1, top + 1)})
    felt = sense(env, seen)
    assert (felt["shelter_x"], felt["shelter_y"]) == (0, 0)
    info = [step(env)[3] for _ in range(100)][-1]
    assert info["integrity_lost"] == 0
    x = left + 4 if left + 4 < 16 else left - 2
    seen, _ = env.reset(seed=3, options={"position": (x, top)})
    assert sense(env, seen)["shelter_x"] == np.float32((-2 if x > left else 2) / 15)


def test_some_cues_are_false_and_some_storms_come_without():
    false = silent = announced = 0
    for seed in range(40):
        cue, storm, _, ahead = weather("L3.2", seed).T
        cues = [n for n in np.flatnonzero(np.diff(cue, prepend=0) > 0) if n + 11 < 128]
        storms = [n for n in np.flatnonzero(np.diff(storm, prepend=0) > 0) if n >= 10]
        came = [storm[n + 10] == 1 for n in cues]
        announced, false = announced + sum(came), false + len(came) - sum(came)
        silent += sum(not cue[n - 10] for n in storms)
        assert all(ahead[n] == (10 if yes else -1) for n, yes in zip(cues, came, strict=True))
    assert 0.2 < false / (false + announced + silent) < 0.4
    assert 0.1 < silent / (announced + silent) < 0.3


# -- hidden changes -----------------------------------------------------------------------------------------


def test_only_the_kind_in_season_feeds():
    for seed in range(8):
        options = {"sources": [(9, 8), (0, 0), (7, 8), (0, 0)]}
        env, _, info = begin("L4.1", seed, options=options, energy_decay=0.0, harm=0.1)
        assert info["sources"][:, 2].tolist() == (
            [0, 0, 1, 1] if info["season"] == 0 else [1, 1, 0, 0]
        )
        info = step(env, RIGHT if info["season"] == 0 else LEFT)[3]
        assert (info["good_arrivals"], info["bad_arrivals"]) == (1, 0)
        env.reset(seed=seed, options=options)
        info = step(env, LEFT if info["season"] == 0 else RIGHT)[3]
        assert (info["good_arrivals"], info["bad_arrivals"], info["integrity_lost"]) == (0, 1, 640)


def test_seasons_change_when_their_time_has_come():
    env, _, info = begin("L4.1", energy_decay=0.0, switch_every=(24, 40))
    seasons, ahead = [info["season"]], [info["switch_in"]]
    for _ in range(200):
        info = step(env)[3]
        seasons.append(info["season"])
        ahead.append(info["switch_in"])
    changes = np.flatnonzero(np.diff(seasons)) + 1
    assert ((np.diff(changes) >= 24) & (np.diff(changes) <= 40)).all()
    assert changes[0] == ahead[0]
    assert min(ahead) == 1


def test_only_the_need_of_the_goal_is_paid_for():
    paid = set()
    for kind in ("food", "water"):
        for seed in range(6):
            env = make("L4.2", **NEEDS)
            params = env.unwrapped.params
            sources = [(9, 8) if params.kinds[n] == kind else (0, 0) for n in params.kind_of]
            _, info = env.reset(
                seed=seed, options={"sources": sources, "energy": 0.4, "hydration": 0.4}
            )
            pays = info["goal"] == (kind == "water")
            seen, reward, _, info = step(env, RIGHT)
            assert info["energy_gained"] == 2 * 1600
            assert seen["payoff"] == (5.0 if pays else 0.0)
            assert reward == 51 + seen["payoff"]
            assert info["fitness"] == reward
            assert step(env)[0]["payoff"] == 0
            paid.add(pays)
    assert paid == {True, False}


# -- the family ---------------------------------------------------------------------------------------------


def test_each_episode_draws_a_world_and_keeps_it():
    env, met = make("L5.0"), []
    for seed in range(60):
        _, info = env.reset(
            seed=seed, options={"sources": [(9, 8)] * 4, "harmful": [True] * 3 + [False]}
        )
        harmful, dropout, delay, harm = info["family"].tolist()
        assert env.reset(seed=seed)[1]["sources"][:, 2].sum() == harmful
        met.append((harmful, dropout, delay, harm))
        env.reset(seed=seed, options={"sources": [(9, 8)] * 4, "harmful": [True] + [False] * 3})
        info = step(env, RIGHT)[3]
        assert info["integrity_lost"] == harm
        gone = 0
        while not info["sources"][0, 3]:
            gone += 1
            info = step(env)[3]
        assert gone == delay
    assert [sorted(set(column)) for column in zip(*met, strict=True)] == [
        [0, 1, 2], [0, 250, 500], [1, 4, 16], [640, 1600, 3200],
    ]  # fmt: skip


# -- development --------------------------------------------------------------------------------------------


def test_the_young_move_less_and_feel_less_and_grow():
    ramps = {"motor": (0.0, 1.0, 0.5, 0.5), "gradient_gain": (0.0, 1.0, 0.0, 1.0)}
    env, seen, _ = begin(
        "L0.1", development={"motor": (0.0, 0.0)} | {"gradient_gain": ramps["gradient_gain"]}
    )
    assert (seen["food_x"], seen["food_y"]) == (0, 0)
    felt, _, _, info = step(env, RIGHT)
    assert info["x"] == 8
    felt = [abs(step(env, RIGHT)[0]["food_x"]) for _ in range(120)]
    assert felt == sorted(felt)
    assert felt[-1] > 0
    env, _, _ = begin("L0.1", development={"motor": ramps["motor"]})
    assert step(env, RIGHT)[3]["x"] == 9


def test_resources_and_hazards_grow_with_the_phase_of_the_step():
    ramps = {"resources": (2.0, 0.0, 0.0, 1.0), "hazards": (0.0, 2.0, 0.0, 1.0)}
    tables = growth(make_params("L0.2", steps=3, development=ramps))
    assert tables.energy_gain.tolist() == [640, 320, 0]
    assert tables.harm.tolist() == [[0, 1600, 3200]]
    options = {"sources": [(33, 0)] * 2, "harmful": [True, False]}
    env, _, _ = begin(
        "L0.2", num_sources=2, num_harmful=1, steps=3, development=ramps, options=options
    )
    info = step(env, RIGHT)[3]
    assert (info["energy_gained"], info["integrity_lost"]) == (640, 0)
    step(env, LEFT)
    info = step(env, RIGHT)[3]
    assert (info["energy_gained"], info["integrity_lost"]) == (640, 3200)


def test_shapes_never_change_with_development():
    for level in LEVELS:
        grown = make(level, development={"gradient_bins": (2, 8)})
        assert grown.observation_space.shape == make(level).observation_space.shape
        assert grown.reset(seed=0)[0] in grown.observation_space
