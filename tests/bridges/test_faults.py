"""What happens when a game dies, hangs, lies or says no: a typed error that tells why, in time, and nothing left behind."""

import os
import pickle
import signal
import time

import pytest
from tests.bridges import odd_game as odd
from tests.bridges.mortal import SHORT
from tests.bridges.traces import AT_ONCE, PATIENT, eventually, is_running

from tropism.bridges.errors import (
    BadMagic,
    BridgeClosed,
    ConnectionLost,
    GameCrashed,
    GameExited,
    PeerError,
    ResetTimeout,
    StepTimeout,
)

DEATHS = [
    (odd.KILL, GameCrashed, -9, "SIGKILL"),
    (odd.SEGFAULT, GameCrashed, -11, "SIGSEGV"),
    (odd.FAIL, GameCrashed, 3, None),
    (odd.LEAVE, GameExited, 0, None),
]


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
