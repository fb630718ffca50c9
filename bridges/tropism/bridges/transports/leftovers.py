"""What processes that were killed have left behind, by names that carry their process ids."""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Callable
from pathlib import Path

STALE_S = 60.0
"""Seconds for which nothing is removed: a live process of another container may seem dead."""


def sweep(
    where: str,
    name: re.Pattern[str],
    is_ours: Callable[[Path], bool],
    remove: Callable[[Path], None],
) -> list[str]:
    """Remove what dead processes have left in a directory; returns the names.

    Args:
        where: the directory.
        name: of what is looked for; its first group is the process id.
        is_ours: whether it is what its name says, and may be removed.
        remove: does so.
    """
    removed = []
    for path in Path(where).iterdir():
        match = name.fullmatch(path.name)
        with contextlib.suppress(OSError):
            if match and _is_stale(path, int(match[1])) and is_ours(path):
                remove(path)
                removed.append(path.name)
    return removed


def _is_stale(path: Path, pid: int) -> bool:
    facts = path.lstat()
    old = time.time() - facts.st_mtime > STALE_S
    return facts.st_uid == os.geteuid() and old and not _is_alive(pid)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
