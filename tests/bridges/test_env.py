"""`tropism/Bridge-v0`: what is on the other side of the bridge plays as if it were here."""

import json
import sys

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env
from tests.bridges import odd_game as odd
from tests.bridges.odd import COMMAND, make
from tests.bridges.sameness import assert_same
from tests.bridges.served import CHILD, Zoo, options, play
from tests.bridges.traces import PATIENT

import tropism.bridges
from tropism.bridges.env import BridgeEnv
from tropism.bridges.errors import (
    InvalidValue,
    PeerError,
    SpecMismatch,
)
from tropism.envs.registration import environment_ids
from tropism.errors import OptionError, UnknownNameError

TRANSPORTS = ["auto", "shm", "tcp", "unix", "ws"]


def without_bridge(shown):
    for *_, info in shown:
        info.pop("bridge", None)
    return shown


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_served_environment_plays_as_it_does_here(closing, transport):
    env = closing(BridgeEnv(**options("Zoo", transport=transport)))
    assert env.session.transport == ("shm" if transport == "auto" else transport)
    assert (env.observation_space, env.action_space) == (Zoo.observation_space, Zoo.action_space)
    there = play(env, 200)
    assert there[1][-1]["bridge"] == {"step": 1}
    assert_same(without_bridge(there), play(Zoo(), 200), numbers=True)


def test_observations_belong_to_the_caller(closing):
    env = closing(BridgeEnv(**options("Zoo", transport="shm")))
    first, _ = env.reset(seed=1)
    kept = {key: np.copy(value) for key, value in first.items()}
    for _ in range(2):
        env.step(np.zeros(3, np.float32))
    assert_same({**first, "mode": kept["mode"]}, {**kept, "mode": kept["mode"]}, numbers=True)
    first["walk"][:] = 7  # and may be written to


@pytest.mark.parametrize("transport", ["tcp", "shm"])
def test_views_instead_of_copies(closing, transport):
    env = closing(BridgeEnv(**options("Zoo", transport=transport, copy=False)))
    here = Zoo()
    there, _ = env.reset(seed=1)
    assert not there["pixels"].flags.owndata
    for _ in range(20):
        np.testing.assert_array_equal(there["pixels"], here.reset(seed=1)[0]["pixels"])
        there, _ = env.reset(seed=1)


def test_gymnasium_checker_is_content():
    env = gymnasium.make("tropism/Bridge-v0", **options("Zoo", render_mode="rgb_array"))
    check_env(env.unwrapped)
    env.close()


def test_stable_baselines3_checker_is_content(closing):
    sb3 = pytest.importorskip("stable_baselines3.common.env_checker")
    sb3.check_env(closing(BridgeEnv(**options("Flat"))))


def test_made_by_its_id_it_may_be_limited_and_described(closing):
    env = closing(gymnasium.make("tropism/Bridge-v0", max_episode_steps=2, **options("Zoo")))
    env.reset(seed=1)
    assert not env.step(np.zeros(3, np.float32))[3]
    assert env.step(np.zeros(3, np.float32))[3]
    assert json.loads(env.spec.to_json())["id"] == "tropism/Bridge-v0"


def test_id_stands_beside_the_suite():
    assert tropism.bridges.BRIDGE_ID in gymnasium.registry
    assert tropism.bridges.BRIDGE_ID not in environment_ids()


def test_id_of_gymnasium_is_served(closing):
    env = closing(BridgeEnv(env_id="CartPole-v1", deadlines=PATIENT))
    here = gymnasium.make("CartPole-v1")
    np.testing.assert_array_equal(env.reset(seed=5)[0], here.reset(seed=5)[0])
    assert env.session.spec.name == "CartPole-v1"


def test_arguments_reach_the_served_environment(closing):
    arguments = {"env_kwargs": {"limit": 3}, "interpreter": sys.executable}
    env = closing(
        BridgeEnv(env_id="tests.bridges.toys:Toy", deadlines=PATIENT, **CHILD, **arguments)
    )
    env.reset(seed=1)
    assert [env.step(0)[2] for _ in range(3)] == [False, False, True]


def test_no_step_without_an_episode(closing):
    env = closing(make())
    with pytest.raises(ResetNeeded):
        env.step(odd.PLAY)
    env.reset(seed=1)
    assert env.step(odd.END)[2]
    with pytest.raises(ResetNeeded):
        env.step(odd.PLAY)


@pytest.mark.parametrize("seed", [2**53, -1])
def test_seed_that_cannot_cross(closing, seed):
    with pytest.raises((OptionError, gymnasium.error.Error)):
        closing(make()).reset(seed=seed)


def test_options_and_their_mistakes(closing):
    env = closing(make())
    assert env.reset(options={"do": odd.PLAY})[0]["count"].tolist() == [0, 0]
    with pytest.raises(InvalidValue):
        env.reset(options={"what": object()})


# -- render, calls and events -----------------------------------------------------------------------------------


def test_picture_comes_from_the_game(closing):
    env = closing(BridgeEnv(**options("Zoo", render_mode="rgb_array")))
    assert (env.metadata["render_fps"], env.metadata["render_modes"]) == (12, ["rgb_array"])
    _, info = env.reset(seed=1)
    np.testing.assert_array_equal(env.render(), np.full((6, 5, 3), info["left"], np.uint8))
    assert closing(BridgeEnv(**options("Zoo"))).render() is None


def test_game_that_does_not_render_says_so():
    with pytest.raises(OptionError, match="does not render"):
        BridgeEnv(**options("plain", render_mode="rgb_array"))
    with pytest.raises(UnknownNameError):
        BridgeEnv(**options("Zoo", render_mode="human"))


def test_calls_events_and_errors_of_calls(closing):
    env = closing(make())
    env.reset(seed=1)
    assert env.call("add", [1, 2, 3.5]) == 6.5
    np.testing.assert_array_equal(env.call("add", [np.arange(3), np.ones(3)]), [1.0, 2.0, 3.0])
    with pytest.raises(PeerError, match="subtract"):
        env.call("subtract")
    env.step(odd.TELL)
    assert (
        env.call("add", [1]) == 1
    )  # the event came before it on the same connection, if not before the step in memory
    assert list(env.session.events) == [("told", {"count": 1})]
    env.session.send_event("hello", {"from": "agent"})
    assert env.step(odd.PLAY)[0]["count"].tolist() == [2, 2]


@pytest.mark.parametrize(
    ("wrong", "kind"),
    [
        ({}, OptionError),
        ({"command": COMMAND, "address": "tcp://127.0.0.1:1"}, OptionError),
        ({"command": COMMAND, "env_id": "CartPole-v1"}, OptionError),
        ({"command": COMMAND, "env_kwargs": {"x": 1}}, OptionError),
        ({"address": "tcp://127.0.0.1:1", "transport": "unix"}, OptionError),
        ({"address": "127.0.0.1"}, OptionError),
        ({"command": COMMAND, "transport": "pigeon"}, UnknownNameError),
        ({"command": COMMAND, "mode": "slow"}, UnknownNameError),
        ({"command": COMMAND, "deadlines": {"setp": 1}}, UnknownNameError),
        ({"command": COMMAND, "deadlines": {"step": 0}}, OptionError),
        ({"command": COMMAND, "token": "short"}, OptionError),
        ({"command": COMMAND, "colour": "red"}, UnknownNameError),
        ({"command": COMMAND, "on_fault": "cry"}, UnknownNameError),
        ({"command": COMMAND, "max_message": 3}, OptionError),
    ],
)
def test_wrong_arguments_are_refused_before_anything_starts(wrong, kind):
    with pytest.raises(kind):
        BridgeEnv(**wrong)


# -- what the game must be --------------------------------------------------------------------------------------


def test_expected_spaces():
    wanted = spaces.Dict({**Zoo.observation_space.spaces, "mode": spaces.Discrete(5)})
    with pytest.raises(SpecMismatch) as caught:
        BridgeEnv(**options("Zoo", observation_space=wanted))
    assert caught.value.path == "agents[0].obs.mode"
    assert (caught.value.expected, caught.value.got) == (spaces.Discrete(5), spaces.Discrete(4))
    BridgeEnv(**options("Zoo", action_space=Zoo.action_space)).close()


def test_several_agents_are_sent_elsewhere():
    with pytest.raises(SpecMismatch, match="BridgeParallelEnv"):
        BridgeEnv(**options("parallel"))
