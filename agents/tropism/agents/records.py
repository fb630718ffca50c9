"""The small JSON record beside saved weights: what they were made for, checked before they are used."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tropism.agents.artifacts import read_json
from tropism.errors import ArtifactError

if TYPE_CHECKING:
    from tropism.agents.contract import Task


def spaces_record(task: Task) -> dict[str, str]:
    """The spaces of a task, as text to compare."""
    observation, action = task.spaces()
    return {"observation_space": str(observation), "action_space": str(action)}


def read_record(path: Path, expected: Mapping[str, Any]) -> dict[str, Any]:
    """Read a JSON record and compare the fields named in ``expected``.

    Raises:
        tropism.errors.ArtifactError: if it is missing, damaged or differs, naming the field.
    """
    saved = read_json(path)
    check_record(saved, expected, path)
    return saved


def check_record(saved: Mapping[str, Any], expected: Mapping[str, Any], origin: Path) -> None:
    """Compare the fields named in ``expected``.

    Raises:
        tropism.errors.ArtifactError: if ``saved``, which was read from ``origin``, differs, naming the field.
    """
    for name, value in expected.items():
        if saved.get(name) != value:
            raise ArtifactError(
                f"{origin}: {name} is {saved.get(name)!r}, the task needs {value!r}"
            )
