"""Run directories: what a training run leaves behind, whole after a kill and resumable.

::

    config.json      the configuration; a directory without it is not yet a run
    manifest.json    versions, source hash, machine, command, seed, time (one entry a start)
    metrics.jsonl    one row a call of :meth:`Run.log`
    checkpoints/     one sealed directory a step, published by a rename

Damaged directories are refused with what is wrong, and never overwritten.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import filelock

from tropism.agents.artifacts import (
    TEMPORARY,
    read_json,
    sealed_directory,
    verify_sealed,
    write_atomic,
)
from tropism.agents.manifest import manifest
from tropism.agents.metric_rows import cut_torn_row, finite, read_metrics
from tropism.agents.progress import progress
from tropism.errors import ArtifactError

if TYPE_CHECKING:
    from tropism.agents.contract import Agent, Policy, Task

__all__ = ["Run", "load_policy", "progress", "read_metrics", "save_policy", "write_atomic"]


class Run(AbstractContextManager["Run"]):
    """One run directory, open for one writer.

    Args:
        directory: created if need be.
        config: JSON values that define the run; resuming with others is refused.
        resume: continue what is there; ``False`` refuses a directory that is already a run.

    Raises:
        tropism.errors.ArtifactError: if the directory is damaged, in use, holds another configuration (the
            field is named), or is there although ``resume`` is false.
    """

    def __init__(
        self, directory: str | os.PathLike[str], config: Mapping[str, Any], *, resume: bool = True
    ) -> None:
        self.directory = Path(directory)
        self.config: dict[str, Any] = json.loads(json.dumps(dict(config), allow_nan=False))
        self.directory.mkdir(parents=True, exist_ok=True)
        self._lock = filelock.FileLock(self.directory / ".lock")
        try:
            self._lock.acquire(blocking=False)
        except filelock.Timeout:
            raise ArtifactError(
                f"{self.directory} is in use by another writer; wait for it or choose another"
            ) from None
        try:
            self._open(resume)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let another writer open the directory."""
        self._lock.release()

    def __exit__(self, *exception: object) -> None:
        self.close()

    def log(self, step: int, **scalars: float) -> None:
        """Append one row to ``metrics.jsonl``; not-a-number and infinity become ``null``.

        Args:
            step: environment steps so far.
            scalars: anything ``float`` takes.
        """
        values = {name: finite(value) for name, value in scalars.items()}
        row = json.dumps({"step": int(step), "_start": self._starts, **values}) + "\n"
        with self._metrics.open("ab", buffering=0) as file:
            whole, rest = file.tell(), row.encode()
            try:
                while rest:
                    rest = rest[file.write(rest) :]
            except OSError:  # a full disk, say: leave no torn row behind
                file.truncate(whole)
                raise

    def metrics(self) -> list[dict[str, Any]]:
        """The rows logged so far; see :func:`read_metrics`."""
        return read_metrics(self.directory)

    @contextmanager
    def checkpoint_dir(self, step: int) -> Iterator[Path]:
        """A directory to fill; on leaving it is sealed and published whole as the checkpoint of ``step``."""
        with sealed_directory(self._checkpoints / f"{int(step):012d}") as work:
            yield work

    def checkpoint_steps(self) -> list[int]:
        """Steps of the published checkpoints, ascending."""
        return sorted(int(path.name) for path in self._checkpoints.iterdir() if path.name.isdigit())

    def latest_checkpoint(self) -> Path | None:
        """The newest checkpoint, verified, or ``None``; its name is its step.

        Raises:
            tropism.errors.ArtifactError: if it is damaged; remove it to fall back on the one before.
        """
        steps = self.checkpoint_steps()
        return verify_sealed(self._checkpoints / f"{steps[-1]:012d}") if steps else None

    def progress(
        self, total: float, description: str, *, show: bool | None = None
    ) -> AbstractContextManager[Callable[[float], None]]:
        """A progress bar of this run; see :func:`progress`."""
        return progress(total, description, show=show)

    @property
    def _metrics(self) -> Path:
        return self.directory / "metrics.jsonl"

    @property
    def _checkpoints(self) -> Path:
        return self.directory / "checkpoints"

    def _open(self, resume: bool) -> None:
        started = (self.directory / "config.json").exists()
        if started and not resume:
            raise ArtifactError(
                f"{self.directory} already holds a run; resume it or choose another directory"
            )
        if started:
            self._check_config()
        else:
            self._check_empty()
        _clear_unfinished(self.directory)
        self._checkpoints.mkdir(exist_ok=True)
        _clear_unfinished(self._checkpoints)
        cut_torn_row(self._metrics)
        starts = read_json(self.directory / "manifest.json").get("starts") if started else []
        if not isinstance(starts, list):
            raise ArtifactError(
                f"{self.directory / 'manifest.json'} lists no starts; restore it or remove the run"
            )
        self._starts = len(starts)
        starts.append(manifest(seed=self.config.get("seed")))
        write_atomic(self.directory / "manifest.json", json.dumps({"starts": starts}, indent=1))
        if not started:  # last, so that a run killed on the way here simply begins again
            write_atomic(self.directory / "config.json", json.dumps(self.config, indent=1))

    def _check_config(self) -> None:
        there = read_json(self.directory / "config.json")
        for field in sorted(there.keys() | self.config.keys()):
            old, new = there.get(field, "<absent>"), self.config.get(field, "<absent>")
            if old != new:
                raise ArtifactError(
                    f"{self.directory} holds a run with another configuration: field {field!r} is {old!r} there "
                    f"and {new!r} here; choose another directory"
                )

    def _check_empty(self) -> None:
        for path in sorted(self.directory.iterdir()):
            if path.name not in (
                ".lock",
                "manifest.json",
                "checkpoints",
            ) and not path.name.startswith(TEMPORARY):
                raise ArtifactError(
                    f"{self.directory} has no config.json but holds {path.name!r}: a damaged run or somebody "
                    "else's files; restore config.json or choose another directory"
                )
        if any(self._checkpoints.glob("[0-9]*")):
            raise ArtifactError(
                f"{self.directory} holds checkpoints but no config.json; restore it from a copy"
            )


def save_policy(policy: Policy, directory: str | os.PathLike[str]) -> Path:
    """Let ``policy`` save itself into a new sealed directory."""
    with sealed_directory(directory) as work:
        policy.save(work)
    return Path(directory)


def load_policy(agent: type[Agent], directory: str | os.PathLike[str], task: Task) -> Policy:
    """Verify a directory that :func:`save_policy` or :meth:`Run.checkpoint_dir` wrote, and load it.

    Raises:
        tropism.errors.ArtifactError: if it is incomplete or damaged.
    """
    return agent.load(verify_sealed(directory), task)


def _clear_unfinished(directory: Path) -> None:
    """Remove what a killed writer left; the lock says that there is no other writer."""
    for path in directory.glob(f"{TEMPORARY}*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
