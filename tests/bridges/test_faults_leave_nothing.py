import gc
import os
import signal
import sys
import threading
import time

import pytest
from tests.bridges import odd_game as odd
from tests.bridges.odd import make
from tests.bridges.traces import descriptors, is_running, shared_files

from tropism.bridges.env import BridgeEnv
from tropism.bridges.errors import (
    BridgeClosed,
    BridgeError,
    ConnectTimeout,
    ForkedBridge,
    GameCrashed,
)


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
