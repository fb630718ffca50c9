"""Files and directories that are either whole or not there: atomic writes, sealed directories.

A sealed directory carries ``MANIFEST.json`` with the SHA-256 of every file in it; it appears under its name by
one rename, complete, and is verified before anybody reads it.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tropism.errors import ArtifactError

SEAL = "MANIFEST.json"
TEMPORARY = ".tmp-"
"""Prefix of unfinished work; whatever carries it may be deleted once its writer is gone."""


def write_atomic(path: str | os.PathLike[str], data: bytes | str) -> None:
    """Write ``data`` (text as UTF-8) so that ``path`` holds either its old content or all of the new.

    Raises:
        OSError: if the disk is full, say; ``path`` is then as it was, and nothing is left behind.
    """
    path = Path(path)
    work = _temporary(path.parent)
    try:
        with work.open("xb") as file:
            file.write(data.encode() if isinstance(data, str) else data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(work, path)
    except BaseException:
        work.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


@contextmanager
def sealed_directory(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Fill a temporary directory; on leaving, seal it and publish it as ``path`` in one step.

    Raises:
        tropism.errors.ArtifactError: if ``path`` is already there: sealed directories are never overwritten.
    """
    path = Path(path)
    if path.exists():
        raise ArtifactError(
            f"{path} is already there and is never overwritten; remove it or choose another"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    work = _temporary(path.parent)
    work.mkdir()
    try:
        yield work
        write_atomic(work / SEAL, json.dumps({"sha256": _digests(work)}, indent=1))
        for file in _files(work):
            _sync(file)
        work.rename(path)
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise
    sync_directory(path.parent)


def verify_sealed(path: str | os.PathLike[str]) -> Path:
    """Return ``path`` if it is a sealed directory whose files are exactly the ones sealed.

    Raises:
        tropism.errors.ArtifactError: naming the file that is missing, extra, truncated or edited.
    """
    path = Path(path)
    sealed = read_json(path / SEAL).get("sha256")
    if not isinstance(sealed, dict):
        raise ArtifactError(
            f"{path / SEAL} lists no checksums; the directory is damaged, restore or remove it"
        )
    found = _digests(path)
    for name in sorted(sealed.keys() | found.keys()):
        if sealed.get(name) != found.get(name):
            what = (
                "missing"
                if name not in found
                else "not part of it"
                if name not in sealed
                else "edited or truncated"
            )
            raise ArtifactError(
                f"{path}: file {name!r} is {what}; restore the directory or remove it"
            )
    return path


def read_json(path: str | os.PathLike[str]) -> dict:
    """The JSON object in ``path``.

    Raises:
        tropism.errors.ArtifactError: if it is missing, truncated or no object.
    """
    try:
        value = json.loads(Path(path).read_bytes())
    except FileNotFoundError:
        raise ArtifactError(
            f"{path} is missing; the directory is incomplete, restore or remove it"
        ) from None
    except ValueError as error:
        raise ArtifactError(
            f"{path} is damaged ({error}); restore it from a copy or remove it"
        ) from error
    if not isinstance(value, dict):
        raise ArtifactError(f"{path} must hold a JSON object, it holds {type(value).__name__}")
    return value


def _temporary(directory: Path) -> Path:
    return directory / f"{TEMPORARY}{secrets.token_hex(8)}"


def _files(directory: Path) -> list[Path]:
    return sorted(file for file in directory.rglob("*") if file.is_file())


def _digests(directory: Path) -> dict[str, str]:
    """SHA-256 by relative name (with ``/``) of every file but the seal itself."""
    names = {file.relative_to(directory).as_posix(): file for file in _files(directory)}
    names.pop(SEAL, None)
    return {name: hashlib.sha256(file.read_bytes()).hexdigest() for name, file in names.items()}


def _sync(file: Path) -> None:
    with file.open("rb+") as handle:
        os.fsync(handle.fileno())


def sync_directory(directory: Path) -> None:
    """Make a rename durable, where the platform lets a directory be opened."""
    if os.name != "posix":
        return
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
