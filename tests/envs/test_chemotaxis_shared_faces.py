"""The shared world as PettingZoo, and whoever watches or plays it, has it."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
import warnings

import numpy as np
import pettingzoo
import pytest
from pettingzoo.utils.conversions import aec_to_parallel
from tests.envs.test_chemotaxis_shared import ID, forage, make, same

import tropism.envs.parallel
from tropism.envs.chemotaxis import parallel
from tropism.envs.chemotaxis.frame import HEIGHT, WIDTH
from tropism.envs.chemotaxis.observation import STAY
from tropism.envs.chemotaxis.params import UNIT
from tropism.envs.chemotaxis.shared_baselines import play, score
from tropism.envs.chemotaxis.shared_frame import colour_of
from tropism.envs.chemotaxis.shared_params import WORLDS
from tropism.envs.core.terminal import plain
from tropism.errors import UnknownNameError

with warnings.catch_warnings():
    warnings.simplefilter(
        "ignore", DeprecationWarning
    )  # of environments that the module imports for its own tests
    from pettingzoo import test as rules

KINDS = [
    {},
    {"organisms": 1},
    {"level": "L3.1", "organisms": 3},
    {"level": "L2.1", "organisms": 2, "obs_noise": 0.1, "gradient_dropout": 0.3},
]


def rollout(env, steps=60, seed=None):
    """What a world shows while its organisms forage, resets included; ``seed`` begins it."""
    rng, seen = np.random.default_rng(0), []
    if seed is not None:
        env.reset(seed=seed)
    for _ in range(steps):
        if not env.agents:
            seen.append(env.reset())
        actions = {agent: forage(rng, [rng.normal(), rng.normal()]) for agent in env.agents}
        seen.append((*env.step(actions), {"state": env.state()}))
    return seen


def all_same(left, right):
    for one, other in zip(left, right, strict=True):
        for a, b in zip(one, other, strict=True):
            same(a, b)


# -- PettingZoo -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kwargs", KINDS)
def test_pettingzoos_own_tests_pass(kwargs):
    rules.parallel_api_test(parallel.parallel_env(**kwargs), 200)
    rules.api_test(parallel.env(**kwargs), 200)
    rules.parallel_seed_test(lambda: parallel.parallel_env(**kwargs), 100)
    rules.seed_test(lambda: parallel.env(**kwargs), 100)
    rules.state_test(parallel.env(**kwargs), parallel.parallel_env(**kwargs))


def test_pettingzoos_tests_of_length_and_rendering_pass():
    rules.max_cycles_test(parallel)
    rules.render_test(parallel.env)


def test_both_interfaces_are_in_pettingzoos_registry():
    tropism.envs.parallel.register_parallel()  # again, without a warning
    env = pettingzoo.make("parallel", ID, organisms=2, max_cycles=9)
    assert (env.num_agents, len(env.possible_agents), str(env)) == (0, 2, "chemotaxis_shared_v0")
    assert env.params.max_episode_steps == 9
    assert isinstance(pettingzoo.make("aec", "tropism/Chemotaxis-Shared_v0"), pettingzoo.AECEnv)
    assert pettingzoo.spec("parallel", "tropism/Chemotaxis-Shared").version == 0


def test_organisms_that_act_in_turn_live_the_same_lives():
    env, turns = make(), parallel.env()
    rng = np.random.default_rng(0)
    observations, _ = env.reset(seed=6)
    turns.reset(seed=6)
    while env.agents:
        actions = {agent: forage(rng, observations[agent]) for agent in env.agents}
        for agent, action in actions.items():
            assert turns.agent_selection == agent
            turns.step(action)
        observations, rewards, *_ = env.step(actions)
        while turns.agents and any(turns.last()[2:4]):
            agent = turns.agent_selection
            same(turns.last()[0], observations[agent])
            assert turns.last()[1:4] == (
                rewards[agent],
                turns.terminations[agent],
                turns.truncations[agent],
            )
            turns.step(None)
        assert turns.agents == env.agents


def test_the_conversion_leads_back():
    assert isinstance(aec_to_parallel(parallel.env()), parallel.SharedChemotaxis)


def test_each_organism_has_spaces_of_its_own():
    env = make()
    spaces = [env.action_space(agent) for agent in env.possible_agents]
    assert len(set(map(id, spaces))) == 4
    assert all(env.observation_spaces[a].contains(o) for a, o in env.reset(seed=0)[0].items())


@pytest.mark.parametrize("module", ["tropism.envs", "tropism.envs.chemotaxis.env"])
def test_single_environments_do_not_load_pettingzoo(module):
    program = f"import sys; sys.path[:0] = {sys.path!r}; import {module}; print('pettingzoo' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"


# -- copies -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))])
@pytest.mark.parametrize("mode", [None, "ansi"])
def test_a_copy_in_the_middle_of_an_episode_goes_on_alike(copied, mode):
    env = make(render_mode=mode, gradient_dropout=0.2, obs_noise=0.1)
    rollout(env, 30, seed=3)
    twin = copied(env)
    all_same(rollout(env, 300), rollout(twin, 300))


def test_what_was_handed_out_stays_as_it_was():
    env = make()
    seen = rollout(env, 100, seed=1)
    kept = copy.deepcopy(seen)
    rollout(env, 100)
    all_same(seen, kept)


# -- the state --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", WORLDS)
def test_the_state_of_every_level_is_in_its_space(level):
    env = make(level=level, organisms=3)
    for *_, told in rollout(env, 150, seed=2):
        if "state" in told:
            assert env.state_space.contains(told["state"])


def test_the_state_tells_bodies_and_sources():
    env = make(organisms=2, num_sources=2, num_harmful=1, width=11, height=5)
    options = {"position": [(0, 0), (10, 4)], "energy": [0.5, 1 / UNIT], "integrity": [1.0, 0.25]}
    options |= {"sources": [(5, 2), (10, 0)], "harmful": [True, False], "active": [True, True]}
    env.reset(seed=0, options=options)
    env.step(dict.fromkeys(env.agents, STAY))
    expected = [1 / 256, 1, 0, 0, 0.485, 1, 0, 1, 1, 0, 0.25, 0.5, 0.5, 1, 1, 1, 1, 0, 0, 1, 1]
    np.testing.assert_allclose(env.state(), expected, rtol=1e-6)


# -- pictures ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kwargs", [*KINDS, {"organisms": 32}, {"level": "L0.2"}, {"level": "L4.0"}]
)
def test_every_world_has_frames_and_text(kwargs):
    for mode in ("rgb_array", "ansi"):
        env = make(render_mode=mode, **kwargs)
        rollout(env, 20, seed=1)
        shown = env.render()
        if mode == "ansi":
            lines = plain(shown).splitlines()
            rows = [line.split()[0] for line in lines[-len(env.possible_agents) :]]
            assert rows == list("0123456789abcdefghijklmnopqrstuv"[: len(env.possible_agents)])
        else:
            assert (shown.shape, shown.dtype) == ((HEIGHT, WIDTH, 3), np.uint8)


def test_a_frame_shows_each_organism_in_its_colour():
    env = make(render_mode="rgb_array")
    env.reset(seed=0)
    frame = env.render()[48:, 16:436]
    for index in range(4):
        assert (frame == colour_of(index)).all(-1).any()


def test_rendering_without_a_mode_warns():
    env = make()
    env.reset(seed=0)
    with pytest.warns(UserWarning, match="render_mode"):
        assert env.render() is None


# -- players ----------------------------------------------------------------------------------------------------


def test_players_do_better_the_more_they_know_and_the_fewer_they_are():
    means = {
        name: score(make(), name, range(12)).fitness for name in ("random", "greedy", "oracle")
    }
    alone = score(make(organisms=1), "oracle", range(6)).fitness
    assert means["random"] < means["greedy"] - 50 < means["oracle"] - 50 < alone - 100


def test_a_player_repeats_itself():
    one, other = (play(make(organisms=5), "random", 4) for _ in range(2))
    assert one.keys() == other.keys() == set(make(organisms=5).possible_agents)
    same(one, other)


def test_players_are_those_of_the_single_world_without_a_place_to_start_from():
    assert make().baselines == ("random", "stay", "greedy", "heuristic", "oracle")
    with pytest.raises(UnknownNameError, match="greedy"):
        make().make_players("greddy")
