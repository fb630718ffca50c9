"""Rows 25, 26, 38 and 39 of the fault matrix: shared memory that is full, left over, silent or overwritten."""

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import numpy as np
import pytest
from tests.bridges.faults import corrupt_game
from tests.bridges.faults.games import BARE, make
from tests.bridges.traces import AT_ONCE, PATIENT, is_running

from tropism.bridges.env import BridgeEnv
from tropism.bridges.errors import BridgeError
from tropism.bridges.game import Game, Reset
from tropism.bridges.transports.shm.channel import RECHECK_S, ShmChannel

# -- row 25 ------------------------------------------------------------------------------------------------

WITHOUT_ROOM = """
import json, resource, sys, time, warnings
from tropism.bridges.env import BridgeEnv
from tropism.bridges.errors import ShmUnavailable
command, limit = json.loads(sys.argv[1])
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
said, start = {}, time.monotonic()
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    env = BridgeEnv(command)
said["warnings"] = [str(warning.message) for warning in caught]
env.reset(seed=1)
said["step"] = env.step(0)[4]["bridge"]["step"]
said["transport"] = env.session.transport
env.close()
try:
    BridgeEnv(command, transport="shm")
except ShmUnavailable as error:
    said["error"] = str(error)
print(json.dumps({**said, "seconds": time.monotonic() - start}))
"""
TMPFS = 'mount -t tmpfs -o size=8k tmpfs "$0" && exec "$@"'


def own_mounts():
    """Whether this process may mount something that only its children see."""
    if shutil.which("unshare") is None:
        return False
    return (
        subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode == 0
    )


@pytest.mark.parametrize("how", ["a limit", "a full disk"])
def test_row_25_without_room_steps_go_over_the_socket_or_it_is_an_error(how, tmp_path):
    if how == "a full disk" and not own_mounts():
        pytest.skip("needs a file system of its own, which only root can make")
    command = [*BARE, "--size", "10000"]
    limit = 0 if how == "a full disk" else 8192
    arguments = [sys.executable, "-c", WITHOUT_ROOM, json.dumps([command, limit])]
    if how == "a full disk":
        arguments = ["unshare", "-m", "sh", "-c", TMPFS, str(tmp_path), *arguments]
    environment = {**os.environ, "TROPISM_BRIDGE_SHM_DIR": str(tmp_path)}
    run = subprocess.run(
        arguments, env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert (run.returncode, run.stderr) == (0, "")
    said = json.loads(run.stdout)
    assert (said["transport"], said["step"]) == ("tcp", 1)
    (warning,) = said["warnings"]
    assert "no shared memory, steps go over tcp" in warning
    for text in (warning, said["error"]):
        need, free = map(int, re.search(r"need (\d+) bytes, (\d+) are free", text).groups())
        assert need > 3 * 40000
        assert free <= 8192 or how == "a limit"
    assert said["seconds"] < 2 * (1.0 + AT_ONCE)
    assert list(tmp_path.iterdir()) == []


# -- row 26 ------------------------------------------------------------------------------------------------


def dead_pid():
    """The number of a process that is gone."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def test_row_26_what_dead_agents_left_is_swept_and_nothing_else(monkeypatch, tmp_path):
    monkeypatch.setenv("TROPISM_BRIDGE_SHM_DIR", str(tmp_path))
    digits, pid = "0123456789abcdef" * 2, dead_pid()
    stale = tmp_path / f"tropism_br_{pid}_{digits}"
    kept = [
        tmp_path / name
        for name in (
            f"tropism_br_{os.getpid()}_{digits}",  # of somebody who is alive
            f"tropism_br_{pid}_{digits[:-1]}",  # not one of our names
            f"tropism_bridge_{pid}_{digits}",
            f"other_{pid}_{digits}",
        )
    ]
    young = tmp_path / f"tropism_br_{pid}_{digits[::-1]}"  # perhaps of another container
    link = tmp_path / f"tropism_br_{pid}_{digits[::2] * 2}"
    for path in (stale, young, *kept):
        path.write_bytes(bytes(4096))
    link.symlink_to(kept[-1])
    for path in (stale, *kept):
        os.utime(path, (0, 0))
    os.utime(link, (0, 0), follow_symlinks=False)
    make(transport="shm").close()
    assert sorted(tmp_path.iterdir()) == sorted([young, link, *kept])


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs another user's file"
)
def test_row_26_the_files_of_others_are_left_alone(monkeypatch, tmp_path):
    monkeypatch.setenv("TROPISM_BRIDGE_SHM_DIR", str(tmp_path))
    path = tmp_path / f"tropism_br_{dead_pid()}_{'ab' * 16}"
    path.write_bytes(bytes(4096))
    os.utime(path, (0, 0))
    os.chown(path, 65534, 65534)
    make(transport="shm").close()
    assert path.exists()


# -- row 38 ------------------------------------------------------------------------------------------------


@contextmanager
def listening():
    """The corrupt game at its best, in a thread of this process; yields its address."""
    stop = threading.Event()

    def run():
        count = 0
        while not stop.is_set():
            request = game.next_request(0.05)
            if request is not None:
                count = 0 if isinstance(request, Reset) else count + 1
                game.observe(np.full(4, count, np.float32), 1.0)

    with Game(corrupt_game.SPEC, listen="tcp://127.0.0.1:0", spin_us=0) as game:
        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield game.address
        finally:
            stop.set()
            thread.join(30)
    assert not thread.is_alive()


def test_row_38_a_bell_that_is_lost_costs_one_sleep_of_fifty_milliseconds(monkeypatch):
    """Told by what each side did, and by a ratio to sleeps of the same length: a busy machine is slow at both."""
    lost, slept, late, waits, naps = [], [], [], [], []
    real = ShmChannel._wait

    def wait(channel, seconds):
        ring = channel._ring
        there = ring.flags[ring.flag] != ring.seen
        found = real(channel, seconds)
        slept.append(seconds)
        if there and found is None:
            late.append(channel)
        return found

    monkeypatch.setattr(ShmChannel, "_ring_bell", lambda self: lost.append(self))
    monkeypatch.setattr(ShmChannel, "_wait", wait)
    with listening() as address:
        env = BridgeEnv(address=address, transport="shm", spin_us=0, deadlines=PATIENT)
        env.reset(seed=1)
        for count in range(1, 11):
            start = time.monotonic()
            assert env.step(0)[0].tolist() == [count] * 4
            waits.append(time.monotonic() - start)
            start = time.monotonic()
            time.sleep(RECHECK_S)
            naps.append(time.monotonic() - start)
        env.close()
    assert len(lost) > 5
    assert RECHECK_S == 0.05
    assert max(slept) <= RECHECK_S
    assert not late  # what is there when a sleep begins is found when it ends
    assert min(waits) < 2.5 * np.median(naps)  # one for the request and one for the answer


# -- row 39 ------------------------------------------------------------------------------------------------


def provoke(env, lie):
    """Let the game lie, then go on until that is found out: the head is looked at once in a millisecond."""
    result = env.step(corrupt_game.LIES.index(lie))
    for _ in range(5):
        if result[3]:
            break
        time.sleep(0.002)
        result = env.step(0)
    return result


@pytest.fixture(params=["raise", "truncate"])
def deceived(request):
    """An environment over the corrupt game."""
    policy = {"policy": request.param, "max_restarts": 99}
    if request.param == "truncate":
        policy["backoff"] = 0.0
    command = [sys.executable, corrupt_game.__file__]
    env = BridgeEnv(command, transport="shm", on_fault=policy, deadlines=PATIENT)
    yield env
    env.close()


def test_row_39_what_is_overwritten_is_found_out_and_never_followed(deceived):
    """In one test, since the game takes long to start, which it does after each lie."""
    for lie in corrupt_game.LIES[1:]:
        deceived.reset(seed=1)
        assert deceived.session.transport == "shm"
        pid = deceived.session.game_pid
        told, text = "ProtocolError" if lie in ("seq", "short") else "ShmCorrupt", ""
        try:
            *_, truncated, info = provoke(deceived, lie)
            assert truncated, lie
            error, text = (info["bridge"]["fault"][key] for key in ("error", "text"))
        except BridgeError as raised:
            error, text = type(raised).__name__, str(raised)
        assert error == told or "head of the shared memory" in text, (
            lie
        )  # the game may find it out first
        assert not is_running(pid)


@pytest.mark.parametrize("field", corrupt_game.HEAD)
def test_row_39_a_game_whose_agent_overwrites_the_head_waits_for_the_next(field):
    with listening() as address:
        env = BridgeEnv(address=address, transport="shm", deadlines={**PATIENT, "step": 1.0})
        env.reset(seed=1)
        corrupt_game.overwrite(env.session._channel._region.memory, *corrupt_game.HEAD[field])
        time.sleep(0.002)  # then each side looks at the head before its next message
        with pytest.raises(BridgeError, match="head of the shared memory"):
            env.step(0)
        env.close()
        env = BridgeEnv(address=address, transport="shm", deadlines=PATIENT)
        env.reset(seed=1)
        assert env.step(0)[0].tolist() == [1] * 4
        env.close()
