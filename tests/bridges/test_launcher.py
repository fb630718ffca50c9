"""The launcher owns the game: it knows how it ended and leaves nothing of it behind."""

import gc
import os
import signal
import subprocess
import sys
import threading

import pytest
from tests.bridges.traces import descriptors, eventually, is_running

from tropism.bridges.errors import BridgeError, GameCrashed, GameExited
from tropism.bridges.launcher import Launcher
from tropism.bridges.tail import MAX_LINE
from tropism.errors import OptionError

linux = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="looks into /proc")


def python(code: str, **kwargs) -> Launcher:
    """A launcher whose game is a few lines of Python."""
    launcher = Launcher([sys.executable, "-c", code], **kwargs)
    launcher.start("tcp://127.0.0.1:1", "ab" * 32, "s1")
    return launcher


SLEEP = "import time; time.sleep(60)"


def test_game_gets_the_secret_in_its_environment_and_not_as_an_argument():
    game = python(
        "import os, sys\n"
        "for name in ('ADDR', 'TOKEN', 'SESSION', 'MINE'): print(os.environ['TROPISM_BRIDGE_' + name], file=sys.stderr)\n"
        "print(len(sys.argv), file=sys.stderr)",
        env={"TROPISM_BRIDGE_MINE": "x"},
    )
    assert game.wait(20) == 0
    assert game.stderr_tail.split("\n") == ["tcp://127.0.0.1:1", "ab" * 32, "s1", "x", "1"]


@pytest.mark.skipif(sys.platform != "linux", reason="SCHED_BATCH is of Linux")
@pytest.mark.parametrize("batch", [False, True])
def test_a_game_interrupts_nobody_if_it_shall_not(batch):
    game = python(SLEEP, batch=batch)
    policy = os.sched_getscheduler(game.pid)
    game.stop()
    assert policy == (os.SCHED_BATCH if batch else os.SCHED_OTHER)


def test_command_may_be_a_function_of_the_address():
    game = Launcher(
        lambda address: [
            sys.executable,
            "-c",
            "import sys; print(sys.argv[1], file=sys.stderr)",
            address,
        ]
    )
    game.start("tcp://127.0.0.1:7")
    assert game.wait(20) == 0
    assert game.stderr_tail == "tcp://127.0.0.1:7"


@pytest.mark.parametrize("command", [[], "game --fast", b"game"])
def test_command_that_is_no_list_is_refused(command):
    with pytest.raises(OptionError, match="must be a list"):
        Launcher(command)


@linux
def test_command_that_does_not_exist_says_why_and_leaks_nothing():
    before = descriptors()
    with pytest.raises(BridgeError, match="no-such-game") as error:
        Launcher(["/no-such-game"]).start("tcp://127.0.0.1:1")
    assert isinstance(error.value.__cause__, FileNotFoundError)
    assert descriptors() == before


@pytest.mark.parametrize("command", [["game", "a\0b"], lambda _: ["game", "a\0b"]])
def test_nothing_is_started_for_an_argument_that_none_can_have(command):
    before = threading.active_count()
    with pytest.raises(OptionError, match=r"'a\\x00b' has a NUL"):
        Launcher(command).start("tcp://127.0.0.1:1")
    assert threading.active_count() == before


@linux
@pytest.mark.parametrize("wrong", [{"env": {"A": "a\0b"}}, {"env": {"A": 1}}, {"cwd": "a\0b"}])
def test_a_place_or_a_variable_that_none_can_have_leaves_nothing(wrong):
    before, files = threading.active_count(), descriptors()
    with pytest.raises(OptionError, match="cannot start the game"):
        Launcher([sys.executable], **wrong).start("tcp://127.0.0.1:1")
    assert (threading.active_count(), descriptors()) == (before, files)


def test_crash_tells_signal_code_and_last_words():
    game = python(
        "import os, sys, signal\nprint('about to fall', file=sys.stderr, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGSEGV)"
    )
    assert game.wait(20) == -signal.SIGSEGV
    error = game.lost(last_seq=7)
    assert isinstance(error, GameCrashed)
    assert (error.pid, error.returncode, error.signal) == (game.pid, -11, "SIGSEGV")
    assert error.last_seq == 7
    assert error.stderr_tail == "about to fall"
    for part in ("SIGSEGV", str(game.pid), "about to fall"):
        assert part in str(error)


def test_exit_is_no_crash_and_an_exit_code_is():
    assert isinstance(_ended(python("raise SystemExit(0)")), GameExited)
    crashed = _ended(python("raise SystemExit(3)"))
    assert (crashed.returncode, crashed.signal) == (3, None)


def _ended(game: Launcher):
    assert game.wait(20) is not None
    return game.lost()


def test_only_the_last_lines_are_kept_and_long_ones_cut():
    game = python(
        "import sys\nfor i in range(1000): print('line', i, file=sys.stderr)\n"
        "sys.stderr.write('x' * 100_000 + '\\n' + 'no newline')"
    )
    assert game.wait(20) == 0
    lines = game.stderr_tail.split("\n")
    assert lines[:2] == ["line 982", "line 983"]
    assert lines[-2] == "x" * MAX_LINE
    assert lines[-1] == "no newline"
    assert len(lines) == 20


def test_stop_waits_for_a_game_that_ends_by_itself():
    game = python("import time; time.sleep(0.2); raise SystemExit(5)")
    game.stop(grace=20)
    assert game.returncode == 5


@linux
def test_stop_terminates_then_kills():
    stubborn = python(
        "import signal, sys, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print('ready', file=sys.stderr, flush=True)\ntime.sleep(60)"
    )
    assert eventually(lambda: stubborn.stderr_tail == "ready")
    stubborn.stop()
    assert stubborn.returncode == -signal.SIGKILL
    polite = python(SLEEP)
    polite.stop()
    assert polite.returncode == -signal.SIGTERM
    polite.stop()  # once more does no harm


@linux
def test_stopped_game_is_killed_all_the_same():
    game = python(SLEEP)
    os.kill(game.pid, signal.SIGSTOP)
    os.waitid(os.P_PID, game.pid, os.WSTOPPED)
    game.stop()
    assert game.returncode == -signal.SIGKILL


CHILD = (
    "import subprocess, sys, time\n"
    f"child = subprocess.Popen([sys.executable, '-c', {SLEEP!r}])\n"
    "print(child.pid, file=sys.stderr, flush=True)\n"
)


@linux
@pytest.mark.parametrize("end", ["time.sleep(60)", "sys.exit(1)"])
def test_the_whole_group_goes_whether_stopped_or_dead(end):
    game = python(CHILD + end)
    assert eventually(lambda: game.stderr_tail != "")
    child = int(game.stderr_tail)
    if "exit" in end:
        assert game.wait(20) == 1
    game.stop()
    assert eventually(lambda: not is_running(child))


@linux
def test_a_process_that_left_the_group_and_holds_the_pipe_does_not_hang_us():
    game = python(CHILD.replace("])\n", "], start_new_session=True)\n", 1) + "sys.exit(0)")
    try:
        assert game.wait(20) == 0
    finally:
        os.kill(int(game.stderr_tail), signal.SIGKILL)
    assert not _readers()


def _readers() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "stderr of a game"]


@linux
def test_nothing_is_left_after_many_games():
    before = descriptors()
    for i in range(20):
        game = python(SLEEP if i % 2 else "pass")
        game.stop()
        assert not is_running(game.pid)
    assert descriptors() == before
    assert not _readers()


@linux
def test_a_forgotten_launcher_takes_its_game_along():
    pid = python(SLEEP).pid
    gc.collect()
    assert not is_running(pid)


@linux
def test_exit_of_the_interpreter_takes_the_game_along():
    program = (
        "import sys\nfrom tropism.bridges.launcher import Launcher\n"
        f"game = Launcher([sys.executable, '-c', {SLEEP!r}])\ngame.start('tcp://127.0.0.1:1')\nprint(game.pid)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stderr == ""
    assert not is_running(int(done.stdout))


@linux
def test_forked_child_may_not_stop_the_game_and_does_not_at_its_exit():
    program = (
        "import os, sys\nfrom tropism.bridges.errors import ForkedBridge\n"
        "from tropism.bridges.launcher import Launcher\n"
        f"game = Launcher([sys.executable, '-c', {SLEEP!r}])\ngame.start('tcp://127.0.0.1:1')\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    try: game.stop()\n"
        "    except ForkedBridge: sys.exit(9)\n"
        "assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9\n"
        "assert game.alive\nprint('alive')"
    )
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.stdout, done.stderr) == ("alive\n", "")


def test_somebody_else_reaping_the_game_is_no_hang():
    game = python("pass")
    os.waitpid(game.pid, 0)
    assert game.wait(5) is not None
    assert not game.alive


def test_describe_tells_command_and_state():
    game = Launcher([sys.executable, "-c", "raise SystemExit(3)"])
    assert "not started" in game.describe()
    game.start("tcp://127.0.0.1:1")
    game.wait(20)
    assert "ended with 3" in game.describe()
    with pytest.raises(BridgeError, match="already"):
        game.start("tcp://127.0.0.1:1")
