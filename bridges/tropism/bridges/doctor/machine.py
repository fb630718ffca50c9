"""What a bridge needs of the machine: an interpreter, sockets, memory, processors."""

from __future__ import annotations

import os
import platform
import socket
import sys
import tempfile
from collections.abc import Iterable
from contextlib import closing
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from tropism.bridges.doctor.finding import Finding
from tropism.bridges.errors import BridgeError
from tropism.bridges.transports import patience
from tropism.bridges.transports.address import Address
from tropism.bridges.transports.binding import bind
from tropism.bridges.transports.shm.region import DIRECTORY, find_directory
from tropism.errors import TropismError

SOON = 1.0
ENOUGH = 64 << 20
"""Bytes of shared memory that will do for many games."""
PREFIX = "TROPISM_BRIDGE_"


def look_at_machine() -> list[Finding]:
    """Everything that concerns no particular game."""
    return [
        interpreter(),
        processors(),
        *environment(),
        loopback("loopback", "tcp://127.0.0.1:0", "bad"),
        loopback("IPv6", "tcp://[::1]:0", "warn"),
        loopback("Unix socket", "unix://", "warn"),
        *shared_memory(),
    ]


def interpreter() -> Finding:
    """Python and what the bridge needs of it."""
    found = [f"Python {platform.python_version()} at {sys.executable}"]
    for name in ("tropism", "numpy", "gymnasium"):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            remedy = f"{sys.executable} -m pip install {name}"
            return Finding("interpreter", "warn", f"{', '.join(found)}; no {name}", remedy)
    return Finding("interpreter", "ok", ", ".join(found))


def processors() -> Finding:
    """Whether waiting may spin."""
    count = patience.processors()
    if count > 1:
        text = f"{count} that we may use: up to {count - 1} games at once are awaited by looking again and again"
        return Finding("processors", "ok", text)
    remedy = "allow the agent and its game two processors (taskset, docker --cpus)"
    return Finding("processors", "warn", "one: shared memory is no faster than a socket", remedy)


def environment() -> Iterable[Finding]:
    """Variables that steer the bridge; a token is not shown."""
    names = sorted(name for name in os.environ if name.startswith(PREFIX))
    token = os.environ.get(f"{PREFIX}TOKEN", "")
    if token and (len(token) != 64 or set(token.lower()) - set("0123456789abcdef")):
        text = f"{PREFIX}TOKEN has {len(token)} characters"
        yield Finding("environment", "bad", text, "a token is 64 hexadecimal digits")
    shown = [name if name.endswith("TOKEN") else f"{name}={os.environ[name]}" for name in names]
    yield Finding("environment", "ok", ", ".join(shown) or f"no {PREFIX}* variable is set here")


def loopback(subject: str, where: str, worst: str) -> Finding:
    """Listen, dial, and send one byte, all by ourselves."""
    try:
        with closing(bind(Address.parse(where))) as bound:
            return _exchange(subject, bound.address, bound.fileno(), worst)
    except (TropismError, OSError) as error:
        remedy = "use tcp://127.0.0.1" if worst == "warn" else "bring the loopback interface up"
        return Finding(subject, worst, str(error), remedy)


def _exchange(subject: str, address: Address, listener: int, worst: str) -> Finding:
    """Whether a byte gets through."""
    with (
        socket.socket(address.family, socket.SOCK_STREAM) as dialled,
        socket.socket(fileno=os.dup(listener)) as listening,
    ):
        for sock in (dialled, listening):
            sock.settimeout(SOON)
        try:
            dialled.connect(address.target)
            accepted, _ = listening.accept()
            with accepted:
                accepted.sendall(b"x")
                dialled.recv(1)
        except TimeoutError:
            text = f"we listen at {address} and nothing gets through"
            return Finding(subject, worst, text, "a firewall drops it: allow it for this program")
    return Finding(subject, "ok", f"listened, dialled and sent at {address}")


def shared_memory() -> Iterable[Finding]:
    """Room, rights and blocks where shared files are made."""
    directory = os.environ.get(DIRECTORY, "")
    try:
        directory = find_directory()
        facts = os.statvfs(directory)
        free = facts.f_bavail * facts.f_frsize
        _allocate(directory)
    except (OSError, AttributeError, BridgeError) as error:
        remedy = (
            "steps travel on the connection; or set TROPISM_BRIDGE_SHM_DIR to a directory in memory"
        )
        yield Finding("shared memory", "warn", f"{directory} {error}".strip(), remedy)
        return
    text = f"{directory}: {free >> 20} MiB free, blocks can be allocated"
    if free < ENOUGH:
        remedy = "make it larger (docker run --shm-size=1g), or set TROPISM_BRIDGE_SHM_DIR"
        yield Finding("shared memory", "warn", text, remedy)
    else:
        yield Finding("shared memory", "ok", text)


def _allocate(directory: str) -> None:
    """Get one page, as `posix_fallocate` promises it."""
    with tempfile.TemporaryFile(dir=Path(directory)) as file:
        os.posix_fallocate(file.fileno(), 0, 4096)
