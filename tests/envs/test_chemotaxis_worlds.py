"""The rules of the Chemotaxis worlds beyond the origin's, one by one."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from tests.envs.worlds import NEEDS, begin, make, sense, step

from tropism.envs.chemotaxis.levels import LEVELS, make_params
from tropism.envs.chemotaxis.observation import RIGHT
from tropism.envs.chemotaxis.tables import wall_columns

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
