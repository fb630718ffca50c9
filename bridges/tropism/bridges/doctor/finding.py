"""What the doctor finds, and who listens where."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import NamedTuple

LISTENING = "0A"


class Finding(NamedTuple):
    """One thing looked at.

    Attributes:
        subject: what, in a word or two.
        state: "ok", "warn" (works, but not as well as it could) or "bad".
        text: what was found.
        remedy: what to do about it; empty if nothing.
    """

    subject: str
    state: str
    text: str
    remedy: str = ""


def who_listens(port: int) -> str:
    """The process that listens on a TCP port of this machine, for people; empty if that cannot be seen."""
    inodes = {f"socket:[{inode}]" for inode in _inodes(port)}
    for entry in Path("/proc").glob("[0-9]*") if inodes else ():
        if _holds(entry, inodes):
            return f"process {entry.name} ({_name(entry)})"
    return "a process of another user" if inodes else ""


def session_of(leader: int) -> list[int]:
    """The processes of a session, the leader among them, as far as Linux shows them."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if os.getsid(int(entry.name)) == leader:
                found.append(int(entry.name))
    return found


def _inodes(port: int) -> list[str]:
    """The sockets that listen on a port, as Linux lists them."""
    found = []
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        rows = [line.split() for line in lines]
        found += [
            row[9] for row in rows if row[3] == LISTENING and int(row[1].split(":")[1], 16) == port
        ]
    return found


def _holds(process: Path, sockets: set[str]) -> bool:
    try:
        return any(os.readlink(fd) in sockets for fd in (process / "fd").iterdir())
    except OSError:  # it has ended, or is another user's
        return False


def _name(process: Path) -> str:
    try:
        return (process / "comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return "?"
