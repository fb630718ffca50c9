"""The rules of the Chemotaxis worlds of origin, one by one."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ResetNeeded

import tropism.envs
from tropism.envs.chemotaxis.levels import LEVELS, make_params
from tropism.envs.chemotaxis.observation import DOWN, LEFT, RIGHT, STAY, UP, channels
from tropism.envs.chemotaxis.params import UNIT
from tropism.envs.chemotaxis.tables import harmful_sets
from tropism.envs.core.wrappers import HideLabels
from tropism.errors import UnknownNameError


def make(level="L0.2", **kwargs):
    return gym.make(f"tropism/Chemotaxis-{level}-v0", **kwargs)


def corridor(sources, harmful=(), at=10, **kwargs):
    """A corridor with sources at ``sources`` of which those at ``harmful`` do harm, the organism at ``at``."""
    env = make("L0.2", num_sources=len(sources), num_harmful=0, **kwargs)
    options = {
        "position": (at, 0),
        "sources": [(x, 0) for x in sources],
        "harmful": [x in harmful for x in sources],
    }
    _, info = env.reset(seed=0, options=options)
    return env, info


def play(env, *moves):
    """Outcome of the last of ``moves``."""
    return [env.step(move) for move in moves][-1]


def test_a_source_feeds_on_arrival_and_never_by_staying():
    env, _ = corridor([11])
    assert play(env, RIGHT)[1] == 1 + 0.5 + 50  # a step, ten times .05, the first reach
    assert play(env, STAY)[1] == 1
    assert play(env, LEFT)[1] == 1
    _, reward, _, _, info = play(env, RIGHT)
    assert reward == 1.5
    assert (info["good_arrivals"], info["energy_gained"], info["fitness"]) == (2, 640, 55.0)


def test_standing_on_a_source_from_the_start_reaches_it_without_feeding():
    env, info = corridor([10])
    assert not info["reached"]
    *_, info = play(env, STAY)
    assert (info["reached"], info["good_arrivals"], info["fitness"]) == (True, 0, 51.0)


def test_two_sources_in_one_cell_both_count():
    env, _ = corridor([11, 11, 11], harmful=())
    assert play(env, RIGHT)[4]["good_arrivals"] == 3
    env, _ = corridor([11, 11], harmful=[11])
    info = play(env, RIGHT)[4]
    assert (info["bad_arrivals"], info["integrity_units"], info["event"]) == (2, 3200, -3200)
    assert not info["reached"]


def test_a_wall_of_the_grid_is_no_new_arrival():
    env, _ = corridor([0], at=1)
    assert play(env, LEFT)[1] == 51.5
    assert play(env, LEFT, UP, DOWN)[1] == 1


def test_energy_is_clipped_at_one_and_counted_before():
    env, _ = corridor([11])
    info = play(env, RIGHT)[4]
    assert (info["energy_units"], info["energy_gained"], info["event"]) == (UNIT, 320, 320)


def test_four_harmful_visits_kill():
    env, _ = corridor([11], harmful=[11])
    out = play(env, *[RIGHT, LEFT] * 3, RIGHT)
    assert (out[2], out[4]["integrity_units"], out[4]["t_alive"]) == (True, 0, 7)
    assert (out[4]["integrity_lost"], out[4]["integrity_min"]) == (4 * 1600, 0)
    with pytest.raises(ResetNeeded, match="after the end of the life"):
        env.unwrapped.step(STAY)


def test_who_never_eats_dies_at_the_last_step_with_both_flags():
    env, _ = corridor([40])
    *before, last = [env.step(STAY) for _ in range(128)]
    assert not any(out[2] or out[3] for out in before)
    assert last[1:4] == (1.0, True, True)
    assert (last[4]["energy_units"], last[4]["fitness"]) == (0, 128.0)


def test_drive_is_the_squared_distance_of_the_needs_from_one():
    env, info = corridor([11], harmful=[11])
    assert info["drive"] == 0
    assert play(env, RIGHT)[4]["drive"] == 50**2 + 1600**2


def test_a_depleted_source_comes_back_elsewhere_after_the_delay():
    env, _ = corridor([11], deplete=True, respawn_delay=4)
    there = [play(env, RIGHT)[4]["sources"][0]]
    there += [env.step(STAY)[4]["sources"][0] for _ in range(4)]
    assert [row[3] for row in there] == [0, 0, 0, 0, 1]
    assert all((row[:2] == (11, 0)).all() for row in there[:4])
    assert env.unwrapped.reference.timers == [0]


def test_without_delay_it_jumps_in_the_same_step():
    where = []
    for seed in range(8):
        env = make("L1.0", num_sources=1, num_harmful=0, respawn_delay=0)
        env.reset(seed=seed, options={"position": (10, 0), "sources": [(11, 0)]})
        x, _, _, active = play(env, RIGHT)[4]["sources"][0]
        assert active
        where.append(x)
    assert len(set(where)) > 4


def test_only_lucky_harmful_sources_stay():
    gone = 0
    for seed in range(64):
        env = make("L1.0", num_sources=2, num_harmful=1, harmful_deplete_p=0.25)
        options = {"sources": [(33, 0)] * 2, "harmful": [True, False]}
        env.reset(seed=seed, options=options)
        sources = play(env, RIGHT)[4]["sources"]
        assert not sources[1][3]
        gone += not sources[0][3]
    assert 6 <= gone <= 26


def test_harmful_sources_have_a_delay_of_their_own():
    env, _ = corridor([11, 11], harmful=[], deplete=True, harmful_respawn_delay=1)
    options = {"position": (10, 0), "sources": [(11, 0)] * 2, "harmful": [True, False]}
    env.reset(seed=1, options=options)
    assert play(env, RIGHT)[4]["sources"][:, 3].tolist() == [0, 0]
    assert play(env, STAY)[4]["sources"][:, 3].tolist() == [1, 0]


def test_the_gradient_points_to_the_nearest_source_that_is_there():
    env, _ = corridor([6, 14, 11])
    seen, _ = env.reset(options={"position": (10, 0), "sources": [(6, 0), (14, 0), (11, 0)]})
    assert seen[0] == np.float32(1 / 63)
    options = {"position": (10, 0), "sources": [(6, 0), (14, 0), (11, 0)]}
    seen, _ = env.reset(options=options | {"active": [True, True, False]})
    assert seen[0] == np.float32(-4 / 63)  # equally near: the first
    seen, _ = env.reset(options=options | {"active": [False] * 3})
    assert seen.tolist() == [0, 0, 1, 1]


def test_the_informed_smell_good_sources_only():
    options = {"sources": [(33, 0), (40, 0)], "harmful": [True, False]}
    for level, steps in (("L0.2", 1), ("L0.2-Informed", 8)):
        seen, _ = make(level, num_sources=2, num_harmful=1).reset(options=options)
        assert seen[0] == np.float32(steps / 63)


def test_beyond_the_sensing_range_nothing_is_smelt():
    options = {"position": (0, 0), "sources": [(3, 4)]}
    for reach, felt in ((4, False), (5, True)):
        seen, _ = make("L0.1", sensing_range=reach).reset(options=options)
        assert bool(seen[:2].any()) is felt


def test_half_of_the_gradients_are_missing_on_l11():
    env = make("L1.1", energy_decay=0.0, harm=0.0)
    env.reset(seed=0, options={"position": (0, 0)})
    seen = np.array([env.step(UP)[0] for _ in range(128)])
    assert 0.35 < (seen[:, 0] == 0).mean() < 0.65
    assert (seen[:, 3] == 1).all()


def test_noise_is_normal_and_on_every_channel():
    env = make("L0.0", obs_noise=0.1, energy_decay=0.0)
    env.reset(seed=0, options={"position": (3, 0), "sources": [(3, 0)]})
    seen = np.array([env.step(UP)[0] for _ in range(128)]) - [0, 0, 1, 1]
    assert np.abs(seen.mean(0)).max() < 0.04
    np.testing.assert_allclose(seen.std(0), 0.1, rtol=0.25)
    assert all(row in env.observation_space for row in seen.astype(np.float32))


def test_reaching_ends_a_life_where_that_was_asked_for():
    env, _ = corridor([11], terminate_on_reach=True)
    assert play(env, RIGHT)[2:4] == (True, False)


def test_a_life_of_other_length_is_truncated_at_its_end():
    env, _ = corridor([40], steps=20, energy_decay=0.001)
    ends = [env.step(STAY)[2:4] for _ in range(20)]
    assert ends == [(False, False)] * 19 + [(False, True)]
    assert make_params("L0.0", steps=20).max_episode_steps == 20
    assert make_params("L0.0", max_episode_steps=7).max_episode_steps == 7
    assert make_params("L0.0", max_episode_steps=-1).max_episode_steps is None
    assert tropism.envs.make_functional("tropism/Chemotaxis-L0.0-v0")[1].max_episode_steps == 128


def test_harmful_sources_are_a_uniform_subset():
    assert len(harmful_sets(4, 2)) == 6
    assert harmful_sets(4, 0) == (0,)
    assert harmful_sets(3, 3) == (7,)
    env, counts = make("L0.2"), np.zeros(4)
    for seed in range(300):
        _, info = env.reset(seed=seed)
        assert info["sources"][:, 2].sum() == 2
        counts += info["sources"][:, 2]
    assert (abs(counts - 150) < 40).all()


def test_hidden_labels_leave_nothing():
    env = HideLabels(make())
    assert env.reset(seed=0)[1] == {}
    assert env.step(0)[4] == {}


def test_channels_name_the_entries_of_an_observation():
    for params in LEVELS.values():
        env = make(params.level)
        assert env.observation_space.shape == (len(channels(params)),)
        assert set(env.reset(seed=0)[1]) == set(env.metadata["labels"])


def test_an_unknown_id_suggests_a_near_one():
    with pytest.raises(UnknownNameError, match=r"tropism/Chemotaxis-L0\.2-v0"):
        tropism.envs.make_functional("tropism/Chemotaxis-L02-v0")
