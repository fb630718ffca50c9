"""Memory that two processes share: a mapped file that has no name any more once both have it.

A file and not `multiprocessing.shared_memory`, whose resource tracker removes segments that others still use, and which
games in other languages could not open.
"""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import platform
import re
import secrets
import stat
import sys
import tempfile
from pathlib import Path

from tropism.bridges.errors import ShmCorrupt, ShmUnavailable
from tropism.bridges.transports import leftovers

DIRECTORY = "TROPISM_BRIDGE_SHM_DIR"
"""Environment variable with the directory for the files; needed only where the usual ones will not do."""
PREFIX = "tropism_br_"
_NAME = re.compile(rf"{PREFIX}(\d+)_[0-9a-f]{{32}}")
_ORDERED = ("x86_64", "amd64", "i686", "i386")
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.ENOMEM)


class Region:
    """A mapped file.

    Attributes:
        path: where it is, or was.
        size: in bytes.
        memory: what both sides see.
    """

    def __init__(self, fd: int, path: str, size: int) -> None:
        self.path, self.size = path, size
        self.memory = mmap.mmap(fd, size)
        self._linked, self._pid = False, os.getpid()

    @classmethod
    def create(cls, size: int) -> Region:
        """Make a file of zeros that nobody else can read, with all of its blocks.

        Raises:
            ShmUnavailable: this system cannot do it, or there is no room.
        """
        check_system()
        directory = find_directory()
        sweep(directory)
        path = os.path.join(directory, f"{PREFIX}{os.getpid()}_{secrets.token_hex(16)}")
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as error:
            raise ShmUnavailable(f"cannot make {path}: {error}") from error
        try:
            return cls._filled(fd, path, size)
        except OSError as error:
            os.unlink(path)
            raise _no_room(directory, size, error) from error
        finally:
            os.close(fd)

    @classmethod
    def attach(cls, path: str, size: int) -> Region:
        """Map a file made by another process of the same user.

        Raises:
            ShmUnavailable: it cannot be opened here, for example in another container.
            ShmCorrupt: it is no such file, or not of this size.
        """
        check_system()
        try:
            fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
        except (OSError, ValueError) as error:
            raise ShmUnavailable(f"cannot open {path!r}: {error}") from error
        try:
            facts = os.fstat(fd)
            if not stat.S_ISREG(facts.st_mode) or facts.st_uid != os.geteuid():
                raise ShmCorrupt(f"{path}: not a regular file of this user")
            if facts.st_size != size:
                raise ShmCorrupt(f"{path}: {facts.st_size} bytes, not {size}")
            return cls(fd, path, size)
        finally:
            os.close(fd)

    @classmethod
    def _filled(cls, fd: int, path: str, size: int) -> Region:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(
                fd, 0, size
            )  # without it, a full disk is a SIGBUS at the first touch
        else:
            os.write(fd, bytes(size))
        region = cls(fd, path, size)
        region._linked = True
        return region

    def unlink(self) -> None:
        """Remove the name of a file that was created here."""
        if self._linked and self._pid == os.getpid():
            self._linked = False
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path)

    def close(self) -> None:
        """Give the memory back, or leave that to the last view of it that somebody still holds."""
        self.unlink()
        with contextlib.suppress(BufferError):
            self.memory.close()


def check_system() -> None:
    """Check that this machine can do it in pure Python.

    Raises:
        ShmUnavailable: it cannot.
    """
    if os.name != "posix":
        raise ShmUnavailable("shared memory needs a POSIX system")
    if sys.byteorder != "little" or platform.machine().lower() not in _ORDERED:
        # elsewhere what one process writes may be seen in another order, and Python has no barriers
        raise ShmUnavailable(f"shared memory is not used on processors like {platform.machine()}")


def find_directory() -> str:
    """Where the files are made.

    Raises:
        ShmUnavailable: the directory that was asked for cannot be written.
    """
    asked = os.environ.get(DIRECTORY)
    places = [asked] if asked else ["/dev/shm", os.environ.get("XDG_RUNTIME_DIR")]
    for place in places:
        if place and os.path.isdir(place) and os.access(place, os.W_OK | os.X_OK):
            return place
    if asked:
        raise ShmUnavailable(f"{DIRECTORY}={asked}: not a directory that can be written")
    return tempfile.gettempdir()


def sweep(directory: str) -> list[str]:
    """Remove what processes of this user that are dead have left here; returns the names."""
    return leftovers.sweep(directory, _NAME, _is_file, Path.unlink)


def _is_file(path: Path) -> bool:
    return stat.S_ISREG(path.lstat().st_mode)


def _no_room(directory: str, size: int, error: OSError) -> ShmUnavailable:
    if error.errno not in _NO_ROOM:
        return ShmUnavailable(f"cannot map {size} bytes in {directory}: {error}")
    facts = os.statvfs(directory)
    free = facts.f_bavail * facts.f_frsize
    return ShmUnavailable(f"{directory} is full: need {size} bytes, {free} are free ({error})")
