"""What changes within or between lives of the chemotaxis ladder: weather, seasons, worlds, bodies."""

from __future__ import annotations

import numpy as np
from tests.envs.worlds import NEEDS, begin, make, sense, step

from tropism.envs.chemotaxis.levels import LEVELS, make_params
from tropism.envs.chemotaxis.observation import LEFT, RIGHT
from tropism.envs.chemotaxis.tables import growth

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
