"""Rows 30 and 42 of the fault matrix: one of several is lost or overtaken, the others go on."""

import os
import signal
import sys
import time

import numpy as np
import pytest
from tests.bridges.faults import team_game
from tests.bridges.faults.bare_game import act
from tests.bridges.faults.games import BARE
from tests.bridges.traces import AT_ONCE, PATIENT, is_running

from tropism.bridges.parallel import BridgeParallelEnv
from tropism.bridges.vector import BridgeVectorEnv


def vector(lanes, **kwargs):
    """Several bare games."""
    return BridgeVectorEnv(lanes, command=BARE, deadlines=PATIENT, **kwargs)


def test_row_30_a_reset_overtakes_the_steps_under_way(transport):
    """What the steps would have shown is never taken for the new episode's."""
    envs = vector(2, transport=transport)
    envs.reset(seed=1)
    for count in range(10):
        for _ in range(count % 3):
            envs.step([0, 0])
        envs.send([act("slow"), 0])
        observations, _ = envs.reset(seed=count)
        assert not observations["x"].any()
        observations, rewards, *_ = envs.step([0, 0])
        assert (observations["x"] == 1).all()
        assert rewards.tolist() == [1, 1]
    assert [env.session.episode for env in envs.envs] == [11, 11]
    envs.close()


@pytest.mark.parametrize("transport", ["tcp", "unix", "ws", "shm"])
def test_row_42_a_player_whose_program_dies_is_truncated_and_the_others_go_on(transport):
    env = BridgeParallelEnv(
        [sys.executable, team_game.__file__], transport=transport, deadlines=PATIENT
    )
    _, infos = env.reset(seed=1)
    env.step(dict.fromkeys(env.agents, 0))
    os.kill(infos["bob"]["pid"], signal.SIGKILL)
    start = time.monotonic()
    seen, rewards, terminated, truncated, _ = env.step(dict.fromkeys(env.agents, 0))
    assert time.monotonic() - start < 0.1 + AT_ONCE
    assert truncated == {"ada": False, "bob": True, "eve": False}
    assert not any(terminated.values())
    assert {name: value.tolist() for name, value in seen.items()} == {
        "ada": [2],
        "bob": [1],
        "eve": [2],
    }
    assert env.agents == ["ada", "eve"]
    for count in range(3, 20):
        seen, rewards, _, truncated, _ = env.step(dict.fromkeys(env.agents, 0))
        assert {name: value.tolist() for name, value in seen.items()} == {
            "ada": [count],
            "eve": [count],
        }
        assert rewards == {"ada": 1.0, "eve": 1.0}
    env.reset(seed=2)
    assert env.agents == list(team_game.NAMES)
    assert env.num_faults == 0
    env.close()


@pytest.mark.parametrize("autoreset", ["NEXT_STEP", "SAME_STEP"])
def test_row_42_a_game_of_a_vector_that_dies_ends_its_own_episode_only(transport, autoreset):
    envs = vector(3, transport=transport, on_fault="truncate", autoreset_mode=autoreset)
    envs.reset(seed=1)
    envs.step([0, 0, 0])
    pids = [env.session.game_pid for env in envs.envs]
    start = time.monotonic()
    observations, rewards, terminated, truncated, infos = envs.step([0, act("kill"), 0])
    took = time.monotonic() - start
    assert took < 0.1 + AT_ONCE + (AT_ONCE if autoreset == "SAME_STEP" else 0.0)
    assert truncated.tolist() == [False, True, False]
    assert rewards.tolist() == [1, 0, 1]
    assert not terminated.any()
    told = infos["final_info"] if autoreset == "SAME_STEP" else infos
    assert told["bridge"]["fault"]["error"].tolist()[1] == "GameCrashed"
    observations, *_ = envs.step([0, 0, 0])
    expected = 0 if autoreset == "NEXT_STEP" else 1
    np.testing.assert_array_equal(observations["x"][:, 0], [3, expected, 3])
    now = [env.session.game_pid for env in envs.envs]
    assert (now[0], now[2]) == (pids[0], pids[2])
    assert not is_running(pids[1])
    envs.close()
    assert not any(map(is_running, now))
