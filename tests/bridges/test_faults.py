"""What happens when a game dies, hangs, lies or says no: a typed error that tells why, in time, and nothing left behind."""

import gc
import os
import pickle
import signal
import sys
import threading
import time

import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from tests.bridges import odd_game as odd
from tests.bridges.odd import make
from tests.bridges.traces import AT_ONCE, PATIENT, descriptors, eventually, is_running, shared_files

from tropism.bridges.env import BridgeEnv
from tropism.bridges.errors import (
    BadMagic,
    BridgeClosed,
    BridgeError,
    ConnectionLost,
    ConnectTimeout,
    ForkedBridge,
    GameCrashed,
    GameExited,
    InvalidValue,
    PeerError,
    ResetTimeout,
    StepTimeout,
)
from tropism.bridges.faults import FaultCounter, OnFault
from tropism.errors import OptionError, UnknownNameError

pytestmark = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="looks into /proc")

SHORT = {**PATIENT, "step": 0.5}

DEATHS = [
    (odd.KILL, GameCrashed, -9, "SIGKILL"),
    (odd.SEGFAULT, GameCrashed, -11, "SIGSEGV"),
    (odd.FAIL, GameCrashed, 3, None),
    (odd.LEAVE, GameExited, 0, None),
]


@pytest.fixture
def play():
    """Makes environments that have been reset, and closes them."""
    made = []

    def begin(*arguments, **kwargs):
        made.append(make(*arguments, **kwargs))
        made[-1].reset(seed=1)
        return made[-1]

    yield begin
    for env in made:
        env.close()


@pytest.mark.parametrize(("action", "kind", "code", "name"), DEATHS)
def test_death_in_a_step_tells_how_and_why(play, transport, action, kind, code, name):
    env = play(transport=transport)
    env.step(odd.PLAY)
    pid, start = env.session.game_pid, time.monotonic()
    with pytest.raises(kind) as caught:
        env.step(action)
    assert time.monotonic() - start < AT_ONCE
    error = caught.value
    assert error.returncode == code
    assert error.facts["phase"] == "step"
    assert error.facts["seq"] == 3
    assert f"pid {pid}" in error.facts["game"]
    if kind is GameCrashed:
        assert (error.pid, error.signal, error.last_seq) == (pid, name, 3)
        assert error.stderr_tail == ("leaving by 3" if action == odd.FAIL else "")
    assert not is_running(pid)
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), copy.facts) == (kind, str(error), error.facts)


def test_death_between_steps_is_told_by_the_next(play, transport):
    env = play(transport=transport)
    os.kill(env.session.game_pid, signal.SIGKILL)
    os.waitid(os.P_PID, env.session.game_pid, os.WEXITED | os.WNOWAIT)
    with pytest.raises(GameCrashed, match="SIGKILL"):
        env.step(odd.PLAY)
    with pytest.raises(BridgeClosed, match="GameCrashed"):
        env.step(odd.PLAY)
    observation, _ = env.reset(seed=1)
    assert observation["count"].tolist() == [0, 0]


def test_hang_is_a_timeout_at_its_deadline_and_reset_starts_anew(play, transport):
    env = play(transport=transport, deadlines=SHORT)
    pid, start = env.session.game_pid, time.monotonic()
    with pytest.raises(StepTimeout, match="pid") as caught:
        env.step(odd.HANG)
    assert 0.5 <= time.monotonic() - start < 0.5 + AT_ONCE
    assert (caught.value.phase, caught.value.seq) == ("step", 2)
    assert "is running" in str(caught.value)
    env.reset(seed=1)
    assert env.session.game_pid != pid
    assert not is_running(pid)


def test_stopped_game_is_named_as_such(play):
    env = play(deadlines=SHORT)
    os.kill(env.session.game_pid, signal.SIGSTOP)
    with pytest.raises(StepTimeout, match=r"\(stopped\)"):
        env.step(odd.PLAY)


def test_answer_that_comes_too_late_is_never_taken_for_the_next(play, transport):
    env = play(transport=transport, deadlines={**PATIENT, "step": 0.1})
    with pytest.raises(StepTimeout):
        env.step(odd.LATE)
    env.session.deadlines = env.session.options.deadlines.__class__(**PATIENT)
    observation, *_ = env.step(odd.PLAY)
    assert observation["count"].tolist() == [2, 2]
    if transport != "shm":  # which shows the newest only
        assert env.stats.stale == 1


def test_reset_after_a_late_answer_keeps_the_game(play):
    env = play(deadlines={**PATIENT, "step": 0.1})
    pid = env.session.game_pid
    with pytest.raises(StepTimeout):
        env.step(odd.LATE)
    assert eventually(lambda: env.session.healthy)
    env.reset(seed=1)
    assert env.session.game_pid == pid


def test_slow_step_succeeds_and_is_counted(play):
    env = play(deadlines={**PATIENT, "step": 20 * odd.LATE_S})
    for _ in range(20):
        env.step(odd.PLAY)
    before = env.stats.slow_frames
    *_, info = env.step(odd.LATE)
    assert info["bridge"]["late_ms"] >= odd.LATE_S * 1000
    assert env.stats.slow_frames == before + 1


def test_hanging_up_alive_is_a_lost_connection(play, transport):
    env = play(transport=transport)
    pid = env.session.game_pid
    with pytest.raises(ConnectionLost) as caught:
        env.step(odd.HANG_UP)
    assert "is running" in caught.value.facts["game"]
    assert not is_running(pid)


@pytest.mark.parametrize("transport", ["tcp", "unix", "shm"])
def test_garbage_is_refused_and_ends_the_session(play, transport):
    env = play(transport=transport)
    pid = env.session.game_pid
    with pytest.raises(BadMagic):
        env.step(odd.GARBAGE)
    assert not is_running(pid)


def test_error_of_the_game_is_passed_on(play, transport):
    env = play(transport=transport)
    with pytest.raises(PeerError, match="I would rather not"):
        env.step(odd.REPORT)


def test_game_that_says_goodbye_has_exited(play, transport):
    env = play(transport=transport)
    with pytest.raises(GameExited, match="tired"):
        env.step(odd.GOODBYE)


def test_death_in_a_reset_is_told(play):
    env = play()
    with pytest.raises(GameCrashed) as caught:
        env.reset(options={"do": odd.KILL})
    assert caught.value.facts["phase"] == "reset"


def test_hang_in_a_reset_is_a_timeout(play):
    env = play(deadlines={**PATIENT, "reset": 2.0})
    with pytest.raises(ResetTimeout):
        env.reset(options={"do": odd.HANG})


def test_reset_overtakes_a_step_under_way(play, transport):
    env = play(transport=transport)
    env.send_step(odd.LATE)
    observation, _ = env.reset(seed=1)
    assert observation["count"].tolist() == [0, 0]
    observation, *_ = env.step(odd.PLAY)
    assert observation["count"].tolist() == [1, 1]


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


# -- nothing is left --------------------------------------------------------------------------------------------


def test_many_deaths_leave_nothing(play):
    env = play(transport="shm", on_fault="truncate")
    env.step(odd.PLAY)
    before, threads = descriptors(), threading.active_count()
    pids = []
    for action in (odd.KILL, odd.LEAVE, odd.SEGFAULT, odd.REPORT, odd.GARBAGE, odd.GOODBYE) * 2:
        pids.append(env.session.game_pid)
        assert env.step(action)[3]
        env.reset()
        env.step(odd.PLAY)
    assert (descriptors(), threading.active_count()) == (before, threads)
    assert not [pid for pid in pids if is_running(pid)]
    assert shared_files() == []


def test_close_leaves_nothing_even_with_a_step_under_way(transport):
    before, threads = descriptors(), threading.active_count()
    env = make(transport=transport)
    env.reset(seed=1)
    pid = env.session.game_pid
    env.send_step(odd.HANG)
    start = time.monotonic()
    env.close()
    assert time.monotonic() - start < 2.0
    env.close()
    assert not is_running(pid)
    assert (descriptors(), threading.active_count()) == (before, threads)
    with pytest.raises(BridgeClosed):
        env.reset()


def test_forgotten_environment_leaves_nothing(transport):
    before, threads = descriptors(), threading.active_count()
    env = make(transport=transport)
    env.reset(seed=1)
    pid = env.session.game_pid
    del env
    gc.collect()
    assert not is_running(pid)
    assert (descriptors(), threading.active_count()) == (before, threads)


def test_interrupt_in_a_step_then_close(play):
    env = play()
    pid = env.session.game_pid
    main = threading.main_thread().ident
    threading.Timer(0.2, signal.pthread_kill, (main, signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        env.step(odd.HANG)
    start = time.monotonic()
    env.close()
    assert time.monotonic() - start < 2.0
    assert not is_running(pid)


@pytest.mark.filterwarnings(
    "ignore:os.fork:RuntimeWarning"
)  # of JAX, if another test has loaded it
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_forked_child_is_refused_and_harms_nobody(play, transport):
    env = play(transport=transport)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            env.step(odd.PLAY)
        except ForkedBridge:
            env.close()
            code = 7
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert env.step(odd.PLAY)[0]["count"].tolist() == [1, 1]


def test_game_that_never_comes_is_explained():
    code = "import sys, time; print('no bridge here', file=sys.stderr, flush=True); time.sleep(60)"
    before = descriptors()
    with pytest.raises(ConnectTimeout) as caught:
        BridgeEnv([sys.executable, "-c", code], deadlines={"connect": 1.0})
    for part in ("tcp://127.0.0.1:", "TROPISM_BRIDGE_ADDR", "no bridge here", "is running", "-c"):
        assert part in str(caught.value)
    assert descriptors() == before


def test_game_that_ends_before_it_comes_is_told_at_once():
    code = "import sys; sys.exit('no licence')"
    with pytest.raises(GameCrashed, match="no licence") as caught:
        BridgeEnv([sys.executable, "-c", code], deadlines={"connect": 60.0})
    assert caught.value.returncode == 1


def test_errors_of_the_caller_are_no_faults(play):
    env = play(on_fault="truncate", check_values="raise")
    with pytest.raises(BridgeError):
        env.step(99)
    assert env.num_faults == 0
