"""A file that only grows: whole batches, one fsync each, one writer at a time.

A write that fails is taken back, so what was there before stays; a process that is killed while it
writes can leave an unfinished last line, which readers are shown and nobody removes unasked.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock

from tropism.agents.artifacts import sync_directory, write_atomic
from tropism.errors import ArtifactError


class Journal:
    """Byte access to an append-only file of lines.

    Args:
        path: The file; the first append creates it. The lock lies beside it, ``<name>.lock``.
        timeout: Seconds to wait for another writer.
    """

    def __init__(self, path: Path, timeout: float = 60.0) -> None:
        self.path = path
        self._timeout = timeout
        self._lock = filelock.FileLock(f"{path}.lock")

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the file against every other writer; may be nested.

        Raises:
            ArtifactError: If another process holds it longer than the time-out.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire(timeout=self._timeout)
        except filelock.Timeout as error:
            raise ArtifactError(
                f"{self.path} has been locked by another process for {self._timeout:g} s; "
                "wait for it to end and try again"
            ) from error
        try:
            yield
        finally:
            self._lock.release()

    def size(self) -> int:
        """Return the length in bytes; 0 if there is no file yet."""
        return self.path.stat().st_size if self.path.exists() else 0

    def read(self, offset: int = 0) -> bytes:
        """Return what follows ``offset``, an unfinished line only if no writer is at it."""
        data = self._read(offset)
        if data and not data.endswith(b"\n"):
            with self.lock():
                data = self._read(offset)
        return data

    def append(self, data: bytes) -> None:
        """Write ``data`` at the end and fsync once; call it with the lock held.

        Raises:
            OSError: If the disk is full, say; the file is then as it was.
        """
        end = self.size()
        with self.path.open("ab", buffering=0) as file:
            try:
                rest = memoryview(data)
                while rest:
                    rest = rest[file.write(rest) :]
                os.fsync(file.fileno())
            except BaseException:
                file.truncate(end)
                os.fsync(file.fileno())
                raise
        if end == 0:
            sync_directory(self.path.parent)

    def cut(self, offset: int) -> Path:
        """Move all from ``offset`` on to ``<name>.torn-<offset>`` beside the file; return that."""
        aside = self.path.with_name(f"{self.path.name}.torn-{offset}")
        write_atomic(aside, self._read(offset))
        with self.path.open("rb+") as file:
            file.truncate(offset)
            os.fsync(file.fileno())
        return aside

    def _read(self, offset: int) -> bytes:
        if not self.path.exists():
            return b""
        with self.path.open("rb") as file:
            file.seek(offset)
            return file.read()
