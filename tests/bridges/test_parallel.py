"""A game with several agents is a PettingZoo environment that plays as it does in process."""

import warnings

import pytest
from gymnasium.error import ResetNeeded
from tests.bridges import odd_game as odd
from tests.bridges.odd import COMMAND
from tests.bridges.sameness import assert_same
from tests.bridges.served import options
from tests.bridges.traces import PATIENT

from tropism.bridges.errors import GameCrashed
from tropism.bridges.parallel import BridgeParallelEnv
from tropism.envs import make_parallel
from tropism.errors import OptionError

with warnings.catch_warnings():  # PettingZoo's tests load its old environments
    warnings.simplefilter("ignore", DeprecationWarning)
    from pettingzoo.test import parallel_api_test, parallel_seed_test

SHARED = "tropism/Chemotaxis-Shared-v0"


def play(env, steps):
    """What random play shows, but for what only the bridge tells."""
    for agent in env.possible_agents:
        env.action_space(agent).seed(len(agent))
    shown = [env.reset(seed=3)]
    for _ in range(steps):
        shown.append(env.step({agent: env.action_space(agent).sample() for agent in env.agents}))
        if not env.agents:
            shown.append(env.reset())
    for *_, infos in shown:
        for info in infos.values():
            info.pop("bridge", None)
    return shown


@pytest.mark.parametrize("transport", ["tcp", "unix", "ws", "shm"])
def test_agents_play_as_they_do_here(closing, transport):
    there = closing(BridgeParallelEnv(**options("parallel", transport=transport)))
    here = make_parallel(SHARED)
    assert there.possible_agents == here.possible_agents
    for agent in here.possible_agents:
        assert there.observation_space(agent) == here.observation_space(agent)
        assert there.action_space(agent) == here.action_space(agent)
    assert_same(play(there, 150), play(here, 150), numbers=True)


def test_pettingzoo_is_content(closing):
    parallel_api_test(closing(BridgeParallelEnv(**options("parallel"))), num_cycles=200)


def test_pettingzoo_finds_it_obeys_seeds():
    parallel_seed_test(lambda: BridgeParallelEnv(**options("parallel")), num_cycles=20)


def test_one_agent_is_several_too(closing):
    env = closing(BridgeParallelEnv(COMMAND, deadlines=PATIENT))
    assert env.possible_agents == ["a"]
    observations, infos = env.reset(seed=1)
    assert observations["a"]["count"].tolist() == [0, 0]
    assert infos["a"]["pid"] == env.session.game_pid
    *_, infos = env.step({"a": odd.END})
    assert infos["a"]["bridge"]["step"] == 1
    assert env.agents == []
    with pytest.raises(ResetNeeded):
        env.step({})


def test_actions_are_for_those_alive(closing):
    env = closing(BridgeParallelEnv(COMMAND, deadlines=PATIENT))
    env.reset(seed=1)
    for wrong in ({}, {"b": 0}, {"a": 0, "b": 0}):
        with pytest.raises(OptionError):
            env.step(wrong)


def test_fault_truncates_all_or_is_raised(closing):
    env = closing(BridgeParallelEnv(COMMAND, on_fault="truncate", deadlines=PATIENT))
    env.reset(seed=1)
    observations, rewards, terminated, truncated, infos = env.step({"a": odd.KILL})
    assert observations["a"]["count"].tolist() == [0, 0]
    assert (rewards, terminated, truncated) == ({"a": 0.0}, {"a": False}, {"a": True})
    assert infos["a"]["bridge"]["fault"]["error"] == "GameCrashed"
    assert env.agents == []
    assert env.num_faults == 1
    env.reset(seed=1)
    assert env.step({"a": odd.PLAY})[1] == {"a": 1.0}
    env = closing(BridgeParallelEnv(COMMAND, deadlines=PATIENT))
    env.reset(seed=1)
    with pytest.raises(GameCrashed):
        env.step({"a": odd.KILL})


def test_it_renders_if_the_game_does(closing):
    env = closing(BridgeParallelEnv(COMMAND, render_mode="rgb_array", deadlines=PATIENT))
    env.reset(seed=1)
    assert env.render().shape == (4, 5, 3)
    assert closing(BridgeParallelEnv(COMMAND, deadlines=PATIENT)).render() is None
