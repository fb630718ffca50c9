"""Directories for Unix sockets whose place is chosen here: private, and removed for those who were killed."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import stat
import tempfile
import time
from pathlib import Path

SOCKET = "b.sock"
PREFIX = "tropism-"
"""Both short: the path of a socket has room for a hundred bytes."""
STALE_S = 60.0
_NAME = re.compile(rf"{PREFIX}(\d+)-\w+")


def new_directory() -> str:
    """A directory that nobody else can enter, named after this process."""
    sweep(tempfile.gettempdir())
    return tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-")  # mode 0700


def sweep(where: str) -> list[str]:
    """Remove what processes of this user that were killed have left here; returns the names."""
    removed = []
    for path in Path(where).glob(f"{PREFIX}*"):
        match = _NAME.fullmatch(path.name)
        with contextlib.suppress(OSError):
            if match and _is_stale(path, int(match[1])):
                (path / SOCKET).unlink(missing_ok=True)
                path.rmdir()
                removed.append(path.name)
    return removed


def is_served(path: str | Path) -> bool:
    """Whether somebody listens at a Unix socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:
            return True
    return True


def _is_stale(path: Path, pid: int) -> bool:
    facts = path.lstat()
    if facts.st_uid != os.geteuid() or not stat.S_ISDIR(facts.st_mode):
        return False
    if time.time() - facts.st_mtime <= STALE_S or _is_alive(pid):
        return False
    return not is_served(path / SOCKET)  # a process of another container only seems dead


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
