"""What the system tells of the process of a game, and how its group is signalled."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

PF_EXITING = 0x4  # <linux/sched.h>


def open_pidfd(pid: int) -> int | None:
    """A descriptor of the process, where the system has them."""
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        return None


def run_as_batch(pid: int) -> None:
    """Let the process no longer interrupt others when it wakes up, where the system can and nobody has chosen otherwise (Linux)."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            if os.sched_getscheduler(pid) == os.SCHED_OTHER:
                os.sched_setscheduler(pid, os.SCHED_BATCH, os.sched_param(0))


def is_dying(pid: int) -> bool:
    """Whether the kernel has begun to end the process (Linux)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        return bool(int(stat.rpartition(")")[2].split()[6]) & PF_EXITING)
    except (OSError, ValueError, IndexError):
        return False


def has_ended(process: subprocess.Popen[bytes]) -> bool:
    """Whether the process has ended; it is not reaped, so that its group keeps its number."""
    if not hasattr(os, "waitid"):
        return process.poll() is not None
    try:
        options = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, process.pid, options) is not None
    except ChildProcessError:  # somebody else has reaped it
        return True


def signal_group(process: subprocess.Popen[bytes], number: int) -> None:
    """Signal every process of the group whose leader has not been reaped yet."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if sys.platform == "win32":
            process.kill()
        else:
            os.killpg(process.pid, number)
