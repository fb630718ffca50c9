"""Making the odd game, and looking for what it may have left behind."""

import os
import sys
import time
from pathlib import Path

from tropism.bridges.env import BridgeEnv

GAME = Path(__file__).with_name("odd_game.py")
COMMAND = [sys.executable, str(GAME)]
PATIENT = {"connect": 60.0, "handshake": 30.0, "reset": 60.0, "step": 30.0}
"""Deadlines for a busy machine, where no deadline is tested."""


def make(*arguments, **kwargs):
    """A `BridgeEnv` over the odd game."""
    kwargs = {"deadlines": PATIENT, **kwargs}
    return BridgeEnv([*COMMAND, *arguments], **kwargs)


def is_running(pid):
    """Whether a process is there and no zombie."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except FileNotFoundError:
        return False


def eventually(condition, seconds=10.0):
    """Whether it comes true."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True


def descriptors():
    """How many are open in this process."""
    return len(os.listdir("/proc/self/fd"))
