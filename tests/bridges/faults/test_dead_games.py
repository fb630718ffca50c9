"""Rows 1 to 4 of the matrix: a game that dies, and how soon and how fully that is told.

A death must be told within 0.1 s. That is asserted of the median of several, for this machine may be busy.
"""

import os
import signal
import statistics
import threading
import time

import pytest
from tests.bridges.c_games import HERE, build, needs_cc
from tests.bridges.faults.bare_game import act
from tests.bridges.faults.games import comes_back, fault
from tests.bridges.traces import AT_ONCE, PATIENT, eventually, is_running

from tropism.bridges.env import BridgeEnv
from tropism.bridges.errors import GameCrashed

BUDGET = 0.1


def several(on_fault):
    """Enough for a median under one policy; the other takes the same way."""
    return range(3 if on_fault == "raise" else 1)


def median_in_time(seconds):
    return len(seconds) == 1 or statistics.median(seconds) <= BUDGET


def kill(pid):
    """SIGKILL a process and see it dead, as a zombie."""
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


def killed_while_waiting(env):
    """Take a step that the game never answers, and kill it then; what was told, and how long after the kill."""
    killed = []

    def run():
        if eventually(lambda: "hanging" in env.session.stderr_tail):
            killed.append(time.monotonic())
            os.kill(env.session.game_pid, signal.SIGKILL)

    thread = threading.Thread(target=run)
    thread.start()
    told = fault(env, "hang")
    seconds = time.monotonic() - killed[0]
    thread.join()
    return told, seconds


def test_row_01_killed_while_the_agent_waits(play, transport, on_fault):
    env = play(transport=transport, on_fault=on_fault)
    took = []
    for _ in several(on_fault):
        pid = env.session.game_pid
        told, seconds = killed_while_waiting(env)
        took.append(seconds)
        assert told.error == "GameCrashed"
        assert (told.facts["phase"], told.facts["seq"]) == ("step", env.session.seq)
        assert "SIGKILL" in told.text
        assert "hanging" in told.text  # its last words
        if told.raised:
            assert (told.raised.pid, told.raised.returncode) == (pid, -9)
            assert told.raised.last_seq == env.session.seq
            assert told.raised.stderr_tail == "hanging"
        comes_back(env)
    assert median_in_time(took), took


def test_row_02_killed_between_steps(play, transport, on_fault):
    env = play(transport=transport, on_fault=on_fault)
    took = []
    for _ in several(on_fault):
        env.step(act("play"))
        kill(env.session.game_pid)
        start = time.monotonic()
        if on_fault == "raise":
            with pytest.raises(GameCrashed, match="SIGKILL"):
                env.step(act("play"))
        else:
            assert env.step(act("play"))[4]["bridge"]["fault"]["error"] == "GameCrashed"
        took.append(time.monotonic() - start)
        comes_back(env)
    assert median_in_time(took), took


def test_row_02_killed_before_a_reset(play, transport, on_fault):
    env = play(transport=transport, on_fault=on_fault)
    pid = env.session.game_pid
    kill(pid)
    if on_fault == "raise":
        with pytest.raises(GameCrashed, match="SIGKILL") as caught:
            env.reset()
        assert caught.value.facts["phase"] == "reset"
        comes_back(env)
    else:
        env.reset()
        assert env.session.game_pid != pid
        assert env.num_faults == 1


def test_row_03_exits_by_itself(play, transport, on_fault):
    env = play(transport=transport, on_fault=on_fault)
    took = []
    for _ in several(on_fault):
        told = fault(env, "leave")
        took.append(told.seconds)
        assert told.error == "GameExited"
        if told.raised:
            assert told.raised.returncode == 0
        comes_back(env)
    assert median_in_time(took), took


def test_row_03_exits_with_an_error(play, transport, on_fault):
    told = fault(play(transport=transport, on_fault=on_fault), "fail")
    assert told.error == "GameCrashed"
    assert "exit code 3" in told.text
    assert "the disk is full" in told.text
    assert told.seconds < AT_ONCE


@needs_cc
@pytest.mark.parametrize("wire", ["tcp", "unix", "shm"])
def test_row_04_segmentation_fault_of_a_game_in_c(wire, on_fault):
    env = BridgeEnv([build(HERE / "crash.c")], transport=wire, on_fault=on_fault, deadlines=PATIENT)
    took = []
    try:
        env.reset(seed=1)
        for _ in several(on_fault):
            pid = env.session.game_pid
            told = fault(env, 1)
            took.append(told.seconds)
            assert told.error == "GameCrashed"
            assert "SIGSEGV" in told.text
            assert "about to fall" in told.text
            if told.raised:
                assert (told.raised.returncode, told.raised.signal) == (-11, "SIGSEGV")
            assert not is_running(pid)
            comes_back(env)
    finally:
        env.close()
    assert median_in_time(took), took
