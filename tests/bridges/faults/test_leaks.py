"""Row 41 of the fault matrix: resets and deaths, again and again, and everything is as it was."""

import gc
import os
import random
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
from tests.bridges.faults.bare_game import act
from tests.bridges.faults.games import make
from tests.bridges.traces import descriptors, eventually, is_running, shared_files

PAGE = os.sysconf("SC_PAGE_SIZE")
KILLS = [8, pytest.param(50, marks=pytest.mark.slow)]
"""On each of four transports."""


def state():
    """What must not grow: descriptors, threads, children."""
    gc.collect()
    return descriptors(), threading.active_count(), len(children())


def children():
    """Processes that this one has started and not reaped."""
    listed = Path(f"/proc/self/task/{os.getpid()}/children").read_text(encoding="utf-8")
    return list(map(int, listed.split()))


def memory():
    """Bytes of memory that this process has in use."""
    return int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1]) * PAGE


def test_row_41_a_thousand_resets_change_nothing(play, transport):
    env = play(transport=transport)
    for _ in range(100):
        env.reset()
    before, used = state(), memory()
    for count in range(1000):
        env.reset(seed=count)
        env.step(0)
    assert state() == before
    assert memory() - used < 4 * 2**20
    assert env.session.episode == 1101


@pytest.mark.parametrize("kills", KILLS)
def test_row_41_random_kills_leave_nothing(transport, kills, record_property):
    """The game is killed at any moment: in a step, in a reset, between them, while it is still starting."""
    dice, others = random.Random(kills), children()
    env = make(
        transport=transport, on_fault={"policy": "truncate", "max_restarts": 10, "backoff": 0}
    )
    env.reset(seed=1)
    before, used, pids = state(), memory(), set()
    while env.num_faults < kills:
        timer = threading.Timer(dice.uniform(0, 0.08), kill_a_child, (pids, others))
        timer.start()
        while timer.is_alive():
            if dice.random() < 0.2 or env.step(0)[3]:
                env.reset()
    env.step(0)
    env.reset()
    record_property("kills", len(pids))
    record_property("grown_bytes", memory() - used)
    assert state() == before
    assert memory() - used < 16 * 2**20
    assert shared_files() == []
    assert len(pids) >= kills
    env.close()
    assert not any(map(is_running, pids))


def kill_a_child(pids, others):
    """Kill the newest process that this one has started, but for some others, and note which one."""
    for pid in [pid for pid in children() if pid not in others][-1:]:
        pids.add(pid)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def test_row_41_a_game_that_dies_in_its_every_first_step_is_started_without_delay(transport):
    """With the policy to raise it is the caller who decides how often to try."""
    env = make(transport=transport, on_fault="raise")
    env.reset()
    before = state()
    start = time.monotonic()
    for _ in range(8):
        with pytest.raises(Exception, match="SIGKILL"):
            env.step(act("kill"))
        env.reset()
    assert time.monotonic() - start < 20.0  # a delay that doubles would have come to a minute
    assert eventually(lambda: state() == before)
    env.close()
