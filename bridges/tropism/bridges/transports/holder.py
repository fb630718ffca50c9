"""Who listens at an address of this machine, as far as the system tells its user: only on Linux, and only looked for when asked."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tropism.bridges.transports.address import Address

LISTENING = "0A"  # TCP_LISTEN of <linux/tcp_states.h>
ACCEPTING = 0x10000  # __SO_ACCEPTCON of <linux/net.h>


class Holder(NamedTuple):
    """A process that listens.

    Attributes:
        pid: its process id, None if it is another user's.
        name: of its program, as the system shortens it.
    """

    pid: int | None = None
    name: str = ""

    def __str__(self) -> str:
        return (
            "a process of another user" if self.pid is None else f"process {self.pid} ({self.name})"
        )


def who_listens(address: Address) -> Holder | None:
    """The process that listens at an address; None if nobody does, or the system does not tell."""
    found = _unix_inodes(address.path) if address.is_unix else _inodes(address.port)
    sockets = {f"socket:[{inode}]" for inode in found}
    for process in Path("/proc").glob("[0-9]*") if sockets else ():
        if _holds(process, sockets):
            return Holder(int(process.name), _name(process))
    return Holder() if sockets else None


def _inodes(port: int) -> Iterator[str]:
    """The sockets that listen on a port."""
    for row in (*_rows("tcp"), *_rows("tcp6")):
        if row[3] == LISTENING and int(row[1].rpartition(":")[2], 16) == port:
            yield row[9]


def _unix_inodes(path: str) -> Iterator[str]:
    for row in _rows("unix"):
        if row[7:] == [path] and int(row[3], 16) & ACCEPTING:
            yield row[6]


def _rows(table: str) -> list[list[str]]:
    """A table of sockets of this process's network, without its head."""
    try:
        text = Path(f"/proc/self/net/{table}").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return [line.split() for line in text.splitlines()[1:]]


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
