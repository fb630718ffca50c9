"""Rows 36 and 37 of the fault matrix: games that do not wait for their agent, whatever the two rates are."""

import os
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from tests.bridges.faults import clock_game
from tests.bridges.traces import PATIENT

from tropism.bridges.env import BridgeEnv

SLOW = pytest.mark.slow
MEBIBYTE = 2**20
PAGE = os.sysconf("SC_PAGE_SIZE")


def live(rate, size, **kwargs):
    """A session with the clock game."""
    command = [sys.executable, clock_game.__file__, str(rate), str(size)]
    env = BridgeEnv(command, mode="latest", deadlines=PATIENT, **kwargs)
    env.reset(seed=1)
    return env


def memory(pid="self"):
    """Bytes of memory that a process has in use."""
    return int(Path(f"/proc/{pid}/statm").read_text(encoding="utf-8").split()[1]) * PAGE


def look(env):
    """One step: number of the frame, seconds since it was made, and what is said of it; a torn one is an error."""
    frame, _, _, _, info = env.step(1)
    age = time.monotonic() - frame[0]
    numbers = frame[1:]
    assert (numbers == numbers[0]).all(), "torn"
    return int(numbers[0]), age, info["bridge"]


@pytest.mark.parametrize("size", [200, 20_000])
def test_row_36_a_flood_costs_no_memory_and_the_newest_frame_is_delivered(transport, size):
    env = live(0, size, transport=transport, patience_s=0.0)
    last = 0
    for _ in range(5):
        last, _, _ = look(env)
    first, dropped, ages, pids = last, env.stats.dropped, [], ("self", env.session.game_pid)
    before = list(map(memory, pids))
    for _ in range(30):
        time.sleep(0.02)
        number, age, _ = look(env)
        assert number > last
        last = number
        ages.append(age)
    shown = last - first
    assert shown > 10 * 30
    assert np.median(ages[15:]) < 0.25
    grown = [memory(pid) - used for pid, used in zip(pids, before, strict=True)]
    assert max(grown) < 8 * MEBIBYTE, grown
    overtaken = env.stats.dropped - dropped
    if transport == "shm":  # over a socket the game leaves out frames that there is no room for
        assert overtaken == shown - 30
    elif size < 1000:
        assert overtaken > 30
    env.close()


@pytest.mark.parametrize("seconds", [1.25, pytest.param(600.0, marks=SLOW)])
def test_row_37_an_agent_slower_than_its_game_does_not_lag_behind_more_and_more(transport, seconds):
    """Fifteen steps a second against sixty frames: five seconds by default for all transports, or ten minutes for each."""
    env = live(60, 500, transport=transport)
    ages, lags, frames = [], [], []
    start = due = time.monotonic()
    while time.monotonic() - start < seconds:
        due += 1 / 15
        time.sleep(max(due - time.monotonic(), 0.0))
        number, age, told = look(env)
        assert told.keys() >= {"age_ms", "dropped", "applied_lag", "late"}
        frames.append(number)
        ages.append(age)
        lags.append(told["applied_lag"])
    third = len(ages) // 3
    early, late = np.median(ages[:third]), np.median(ages[-third:])
    assert late < early + 1 / 60
    assert np.quantile(ages, 0.9) < 0.15
    assert max(lags[-third:]) <= 1
    seen = len(frames) + env.stats.dropped
    assert seen <= frames[-1]
    if transport == "shm":  # over a socket the game leaves out frames that there is no room for
        assert seen >= frames[-1] - frames[0]
    env.close()
