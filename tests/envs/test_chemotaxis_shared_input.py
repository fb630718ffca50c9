"""Seeds, options and bad input of the shared world."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import Error, InvalidAction, ResetNeeded
from tests.envs.test_chemotaxis_shared import ID, make, same

import tropism.envs
from tropism.envs import make_parallel
from tropism.envs.chemotaxis.observation import LEFT, RIGHT, STAY, UP
from tropism.errors import OptionError, UnknownNameError


def first(env, seed=None, **options):
    return env.reset(seed=seed, options=options)[1]["organism_0"]["sources"].tolist()


def test_a_reset_without_seed_is_the_next_episode():
    one, other = make(), make()
    episodes = [first(one, 3), first(one), first(one)]
    assert [first(other, 3), first(other), first(other)] == episodes
    assert len(set(map(str, episodes))) == 3
    assert first(one, 3) == episodes[0]


def test_a_first_reset_without_seed_can_be_repeated():
    env, again = make(), make()
    assert first(env) == first(again, env.np_random_seed)
    assert first(make()) != first(make())


def test_organisms_begin_anywhere():
    env = make(organisms=8, width=6, height=5)
    places = [(i["x"], i["y"]) for seed in range(60) for i in env.reset(seed=seed)[1].values()]
    assert set(places) == {(x, y) for x in range(6) for y in range(5)}


def test_nobody_begins_in_a_wall():
    env = make(level="L1.2", organisms=32)
    for seed in range(10):
        for info in env.reset(seed=seed)[1].values():
            walls = {(x, y) for x, gap in info["walls"] for y in range(16) if y != gap}
            assert (info["x"], info["y"]) not in walls


def test_options_of_bodies_have_one_value_or_one_each():
    env = make(level="L2.0", organisms=2)
    options = {"position": [(1, 2), (3, 4)], "energy": 0.5, "hydration": [0.25, 0.75]}
    infos = env.reset(seed=0, options=options)[1]
    told = [(i["x"], i["y"], i["energy_units"], i["hydration_units"]) for i in infos.values()]
    assert told == [(1, 2, 3200, 1600), (3, 4, 3200, 4800)]


@pytest.mark.parametrize(
    ("kwargs", "error", "message"),
    [
        ({"organisms": 0}, OptionError, r"organisms must be an integer in \[1, 32\], got 0"),
        ({"organisms": True}, OptionError, "organisms"),
        ({"organisms": 33}, OptionError, "organisms"),
        ({"max_cycles": 0}, OptionError, "max_cycles"),
        ({"max_episode_steps": 9}, OptionError, "max_cycles"),
        ({"level": "L9"}, UnknownNameError, "level"),
        ({"num_sources": 99}, OptionError, "num_sources"),
        ({"num_souces": 9}, UnknownNameError, "num_sources"),
        ({"walls": 9}, OptionError, "walls"),
        ({"render_mode": "rgb"}, UnknownNameError, "rgb_array"),
    ],
)
def test_worlds_that_cannot_be_are_refused(kwargs, error, message):
    with pytest.raises(error, match=message):
        make(**kwargs)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"positions": (0, 0)}, UnknownNameError),
        ({"hydration": 0.5}, UnknownNameError),
        ({"position": (99, 0)}, OptionError),
        ({"energy": [0.5, 0.5, 0.5]}, OptionError),
        ({"sources": [(0, 0)]}, OptionError),
        ({"sources": np.zeros((4, 8, 2), int)}, OptionError),
    ],
)
def test_options_that_cannot_be_are_refused(options, error):
    with pytest.raises(error):
        make().reset(seed=0, options=options)


@pytest.mark.parametrize("seed", [-1, 1.5])
def test_what_is_no_seed_is_refused(seed):
    with pytest.raises(Error):
        make().reset(seed=seed)


@pytest.mark.parametrize("wrong", [5, -1, 1.0, True, None, "up", np.array([1])])
def test_a_wrong_action_is_refused_by_name_and_changes_nothing(wrong):
    env, other = make(organisms=2), make(organisms=2)
    for each in (env, other):
        each.reset(seed=0)
    with pytest.raises(InvalidAction, match="organism_1: action must be"):
        env.step({"organism_0": RIGHT, "organism_1": wrong})
    actions = {"organism_0": LEFT, "organism_1": np.int32(UP)}
    same(env.step(actions)[4], other.step(actions)[4])


@pytest.mark.parametrize("names", [["organism_0"], ["organism_0", "organism_1", "organism_2"], []])
def test_actions_are_for_the_living_one_each(names):
    env = make(organisms=2)
    env.reset(seed=0)
    with pytest.raises(InvalidAction, match="organism_1"):
        env.step(dict.fromkeys(names, STAY))


def test_actions_come_by_name():
    env = make(organisms=2)
    env.reset(seed=0)
    with pytest.raises(InvalidAction, match="organism_1"):
        env.step([STAY, STAY])


def test_a_default_world_can_be_changed():
    assert make(deplete=False).params.level == "Shared"


def test_calls_before_the_first_reset_are_refused():
    env = make(render_mode="ansi")
    for call in (lambda: env.step({}), env.state, env.render):
        with pytest.raises(ResetNeeded, match="before the first reset"):
            call()


def test_unknown_ids_and_agents_suggest_near_ones():
    with pytest.raises(UnknownNameError, match=ID):
        make_parallel("tropism/Chemotaxis-Share-v0")
    with pytest.raises(UnknownNameError, match="organism_3"):
        make().action_space("organism_4")
    assert ID not in gym.registry
    assert set(tropism.envs.PARALLEL) == {ID}
