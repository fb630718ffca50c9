"""Rows 5 to 8 and 10 of the matrix: games that stop, are slow or answer too late."""

import os
import re
import signal
import threading
import time

import pytest
from tests.bridges.faults import bare_game
from tests.bridges.faults.bare_game import act
from tests.bridges.faults.games import comes_back, fault, len_of_observation, state
from tests.bridges.traces import AT_ONCE, PATIENT, eventually

from tropism.bridges.errors import StepTimeout
from tropism.bridges.options import Deadlines

STEP = 0.3
"""Deadline of a step, in seconds. It may be told 0.2 s late; here `AT_ONCE`, for the machine may be busy."""
HASTY = {**PATIENT, "step": STEP}
ASLEEP_S = 0.5


def wake(env, pid):
    """Continue a stopped game half a second after the agent has begun to wait for it."""
    if eventually(lambda: env.session.waiting):
        time.sleep(ASLEEP_S)
    os.kill(pid, signal.SIGCONT)


def in_time(seconds):
    return STEP <= seconds < STEP + AT_ONCE


def test_row_05_stopped_game_times_out_and_is_replaced(play, transport, on_fault):
    env = play(transport=transport, on_fault=on_fault, deadlines=HASTY)
    env.step(act("play"))
    pid = env.session.game_pid
    os.kill(pid, signal.SIGSTOP)
    assert eventually(lambda: state(pid) == "T")
    if on_fault == "raise":
        with pytest.raises(StepTimeout) as caught:
            env.step(act("play"))
        error, facts = caught.value, caught.value.facts
        assert (error.phase, error.seq) == ("step", env.session.seq)
        assert in_time(error.waited)
        assert "(stopped)" in str(error)
    else:
        *_, truncated, info = env.step(act("play"))
        facts = info["bridge"]["fault"]
        assert truncated
        assert facts["error"] == "StepTimeout"
    assert (facts["phase"], facts["seq"]) == ("step", env.session.seq)
    assert in_time(facts["waited_s"])
    assert "(stopped)" in facts["game"]
    comes_back(env)


def test_row_06_stopped_for_a_while_is_late_but_right(play, transport):
    env = play(transport=transport, deadlines={**PATIENT, "step": 5.0})
    assert "late_ms" not in env.step(act("play"))[4]["bridge"]
    pid = env.session.game_pid
    os.kill(pid, signal.SIGSTOP)
    assert eventually(lambda: state(pid) == "T")
    waker = threading.Thread(target=wake, args=(env, pid))
    waker.start()
    observation, *_, info = env.step(act("play"))
    waker.join()
    assert observation["x"][0] == 2
    assert info["bridge"]["late_ms"] >= 1000 * ASLEEP_S


def test_row_07_slow_frame_succeeds_and_is_counted(play, transport):
    env = play(transport=transport)
    assert eventually(lambda: env.step(act("play")) and env.stats.median_s < bare_game.SLOW_S / 20)
    before, steps = env.stats.slow_frames, env.stats.steps
    observation, *_ = env.step(act("slow"))
    assert observation["x"][0] == steps + 1
    assert env.stats.slow_frames == before + 1


def test_row_08_answer_that_is_overdue_is_discarded(play, transport):
    """The game answers the step that timed out only when the next has come, and then both."""
    env = play(transport=transport, deadlines=HASTY)
    with pytest.raises(StepTimeout):
        env.step(act("late"))
    env.session.deadlines = Deadlines(**PATIENT)
    for step in (2, 3):
        observation, *_, info = env.step(act("play"))
        assert (observation["x"][0], info["bridge"]["step"]) == (step, step)
    assert env.stats.stale == 1 or transport == "shm"  # memory shows only the newest


@pytest.mark.parametrize(("on_fault", "size"), [("raise", 3), ("truncate", 30_000)])
def test_row_10_half_an_observation_and_then_nothing(play, transport, on_fault, size):
    env = play("--size", str(size), transport=transport, on_fault=on_fault, deadlines=HASTY)
    told = fault(env, "half_body")
    assert told.error == "StepTimeout"
    assert in_time(told.facts["waited_s"])
    whole = len_of_observation(size)
    if transport == "ws":
        assert re.search(r"a WebSocket message, \d+/\d+ bytes", told.text)
    else:
        assert f"body of OBS, {whole // 2}/{whole} bytes" in told.text
    assert told.facts["phase"] == "payload"
    if on_fault == "raise":
        error = told.raised
        assert (type(error), error.phase, error.seq) == (StepTimeout, "payload", env.session.seq)
        assert 0 < error.got < error.want
        assert transport == "ws" or (error.got, error.want) == (whole // 2, whole)
    comes_back(env)
