from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

SCRIPT = """
import sys
sys.path[:] = {path!r}
from tropism.agents.contract import Task
from tropism.benchmarks.cli import run
from tropism.benchmarks.suites import SUITES, Entry, Player, Suite

if __name__ == "__main__":
    players = tuple(Player(name) for name in {agents!r})
    entry = Entry(Task("tropism/Sanity-Memory-v0"), players, ("sanity",))
    SUITES["small"] = Suite("small", "", (entry,), 1, 2)
    sys.exit(run(["leaderboard", "run", "small", "--out", {out!r}, "--workers", "1"]))
"""


@pytest.mark.skipif(os.name != "posix", reason="process groups")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGKILL"])  # not every system has all
def test_a_stopped_run_keeps_what_is_finished_leaves_no_worker_and_resumes(
    name, tmp_path, third_party
):
    kill = getattr(signal, name)
    script, out = tmp_path / "main.py", tmp_path / "board"

    def start(agents):
        script.write_text(SCRIPT.format(path=sys.path, agents=agents, out=str(out)))
        return subprocess.Popen(
            [sys.executable, str(script)], stderr=subprocess.PIPE, text=True, start_new_session=True
        )

    first = start(("random", "odd-waits"))
    _until(lambda: list((out / "cells").glob("*.json")), first)
    _until(lambda: len(list((out / "runs").glob("*/config.json"))) == 2, first)
    if kill == signal.SIGINT:
        os.killpg(first.pid, kill)  # a terminal tells the whole group
    else:
        first.send_signal(kill)
    _, errors = first.communicate(timeout=20)
    assert first.returncode == (130 if kill == signal.SIGINT else -kill), errors
    assert ("Interrupted" in errors) == (kill == signal.SIGINT)
    assert "Traceback" not in errors
    _wait(lambda: not _alive(first.pid))  # no worker is left, nor the tracker of multiprocessing
    (finished,) = (out / "cells").glob("*.json")
    before = finished.stat().st_mtime_ns

    second = start(("random", "oracle"))
    _, errors = second.communicate(timeout=60)
    assert second.returncode == 0, errors
    assert "1 of 2 cells were finished before" in errors
    assert finished.stat().st_mtime_ns == before
    assert len(list((out / "cells").glob("*.json"))) == 2


def _alive(group):
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def _until(happened, process):
    _wait(lambda: happened() or process.poll() is not None)
    assert process.poll() is None, process.communicate()[1]


def _wait(happened, seconds=60):
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.02)
