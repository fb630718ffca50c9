"""What a game or an agent may leave behind, and how long tests wait for it."""

import os
import time
from pathlib import Path

TRANSPORTS = ("tcp", "unix", "ws", "shm")
PATIENT = {"connect": 60.0, "handshake": 30.0, "reset": 60.0, "step": 30.0}
"""Deadlines for a busy machine, where none is tested."""
AT_ONCE = 1.0
"""Seconds within which a fault must be told: 0.1 are promised, the rest is for a busy machine."""


def is_running(pid):
    """Whether a process is there and no zombie."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except FileNotFoundError:
        return False


def eventually(condition, seconds=20.0):
    """Whether it comes true."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.002)
    return True


def descriptors():
    """How many are open in this process."""
    return len(os.listdir("/proc/self/fd"))


def shared_files():
    """Files of shared memory that this process has left."""
    return sorted(path.name for path in Path("/dev/shm").glob(f"tropism_br_{os.getpid()}_*"))
