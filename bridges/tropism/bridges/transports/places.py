"""Directories for Unix sockets whose place is chosen here: private, and removed for those who were killed."""

from __future__ import annotations

import os
import re
import socket
import stat
import tempfile
from pathlib import Path

from tropism.bridges.transports import leftovers

SOCKET = "b.sock"
PREFIX = "tropism-"
"""Both short: the path of a socket has room for a hundred bytes."""
_NAME = re.compile(rf"{PREFIX}(\d+)-\w+")


def new_directory() -> str:
    """A directory that nobody else can enter, named after this process."""
    sweep(tempfile.gettempdir())
    return tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-")  # mode 0700


def sweep(where: str) -> list[str]:
    """Remove what processes of this user that were killed have left here; returns the names."""
    return leftovers.sweep(where, _NAME, _is_deserted, _remove)


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


def _is_deserted(path: Path) -> bool:
    """Whether it is a directory in which nobody listens; a process of another container only seems dead."""
    return stat.S_ISDIR(path.lstat().st_mode) and not is_served(path / SOCKET)


def _remove(path: Path) -> None:
    (path / SOCKET).unlink(missing_ok=True)
    path.rmdir()
