import os
import signal

import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from tests.bridges import odd_game as odd
from tests.bridges.mortal import SHORT
from tests.bridges.traces import is_running

from tropism.bridges.errors import (
    ConnectionLost,
    GameCrashed,
    InvalidValue,
)
from tropism.bridges.faults import FaultCounter, OnFault
from tropism.errors import OptionError, UnknownNameError

# -- policies ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", ["truncate", "restart"])
@pytest.mark.parametrize(
    "action", [odd.KILL, odd.LEAVE, odd.HANG, odd.GARBAGE, odd.HANG_UP, odd.REPORT]
)
def test_fault_that_is_endured_truncates(play, policy, action):
    env = play(on_fault=policy, deadlines=SHORT)
    before, pid = env.step(odd.PLAY)[0], env.session.game_pid
    observation, reward, terminated, truncated, info = env.step(action)
    assert (reward, terminated, truncated) == (0.0, False, True)
    np.testing.assert_array_equal(observation["count"], before["count"])
    assert observation["pixels"] is not before["pixels"]
    fault = info["bridge"]["fault"]
    assert {"error", "text", "phase", "seq", "waited_s", "game"} <= fault.keys()
    assert is_running(env.session.game_pid or 0) == (policy == "restart" or action == odd.HANG)
    with pytest.raises(ResetNeeded):
        env.step(odd.PLAY)
    observation, _ = env.reset(seed=1)
    assert observation["count"].tolist() == [0, 0]
    assert env.session.game_pid != pid
    assert not is_running(pid)
    assert env.num_faults == 1


def test_game_that_dies_again_and_again_is_given_up(play):
    env = play(on_fault=OnFault("truncate", max_restarts=2, backoff=0.0))
    for _ in range(2):
        assert env.step(odd.KILL)[3]
        env.reset()
    with pytest.raises(GameCrashed) as caught:
        env.step(odd.KILL)
    assert "3 in a row" in caught.value.__notes__[0]


def test_good_step_forgives(play):
    env = play(on_fault=OnFault("truncate", max_restarts=1, backoff=0.0))
    for _ in range(3):
        env.step(odd.PLAY)
        assert env.step(odd.KILL)[3]
        env.reset()


def test_death_in_a_reset_is_endured_by_a_new_game(play):
    env = play(on_fault="truncate")
    os.kill(env.session.game_pid, signal.SIGKILL)
    observation, _ = env.reset(seed=1)
    assert observation["count"].tolist() == [0, 0]


def test_backoff_doubles(monkeypatch):
    slept = []
    monkeypatch.setattr("tropism.bridges.faults.time.sleep", slept.append)
    counter = FaultCounter(OnFault("restart", max_restarts=4, backoff=0.5))

    def fail():
        raise ConnectionLost("gone")

    with pytest.raises(ConnectionLost):
        counter.retry(fail)
    assert slept == [0.5, 1.0, 2.0]
    assert (counter.row, counter.total) == (5, 5)


def test_policy_may_be_a_name_or_a_mapping():
    assert OnFault.of("restart") == OnFault("restart")
    assert OnFault.of({"policy": "truncate", "max_restarts": 9}) == OnFault("truncate", 9)
    with pytest.raises(UnknownNameError, match="truncate"):
        OnFault.of("trunkate")
    with pytest.raises(OptionError):
        OnFault("truncate", max_restarts=0)


# -- values -----------------------------------------------------------------------------------------------------


def test_nan_is_warned_of_once_clipped_or_raised(play):
    env = play(check_values="warn")
    with pytest.warns(UserWarning, match=r"observation\['count'\]\[0\] is nan"):
        env.step(odd.NAN)
    env.step(odd.NAN)
    assert play(check_values="clip").step(odd.NAN)[0]["count"].tolist() == [0, 0]
    with pytest.raises(InvalidValue, match=r"\['count'\]\[0\]"):
        play(check_values="raise").step(odd.NAN)
    assert np.isnan(play(check_values="off").step(odd.NAN)[0]["count"]).all()


def test_action_out_of_its_space_is_not_sent(play):
    env = play(check_values="raise")
    with pytest.raises(InvalidValue, match="action"):
        env.step(99)
    assert env.step(odd.PLAY)[0]["count"].tolist() == [1, 1]


def test_action_of_the_wrong_type_is_not_sent(play):
    env = play()
    with pytest.raises(InvalidValue):
        env.step("left")
    assert env.step(odd.PLAY)[0]["count"].tolist() == [1, 1]
