"""Parts of an agent on disk: safetensors for numbers, JSON for everything else, never pickle.

A part ``<name>`` is two files: ``<name>.safetensors`` with arrays by name, and ``<name>.json`` with facts, the version of
the layout, and the SHA3-256 of the first.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from tropism.agents.artifacts import read_json, write_atomic
from tropism.errors import ArtifactError


@dataclass(frozen=True)
class Parts:
    """The parts that one distribution writes.

    Attributes:
        owner: the distribution, for the advice of errors.
        version: of its layout.
        library: of the arrays read, ``torch`` or ``numpy``; the library is loaded on use.
    """

    owner: str
    version: int
    library: Literal["numpy", "torch"] = "torch"

    def write(
        self, directory: Path, name: str, arrays: Mapping[str, Any], facts: Mapping[str, Any]
    ) -> None:
        """Write a part; its facts come last, so that what has them is whole.

        Args:
            directory: where.
            name: of the part.
            arrays: tensors or arrays of the library, by name.
            facts: JSON values.
        """
        data = self._bytes(arrays)
        header = {"format": self.version, **facts, "sha3_256": _checksum(data)}
        text = json.dumps(header, indent=1)
        write_atomic(directory / f"{name}.safetensors", data)
        write_atomic(directory / f"{name}.json", text)

    def checksum(self, arrays: Mapping[str, Any]) -> str:
        """The SHA3-256 that :meth:`write` would note, for other files to say which part they belong to."""
        return _checksum(self._bytes(arrays))

    def read(self, directory: Path, name: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """Arrays and facts of a part.

        Raises:
            ArtifactError: a file is missing, damaged, or of another version.
        """
        data, facts = self._checked(directory, name)
        return import_module(f"safetensors.{self.library}").load(data), facts

    def _bytes(self, arrays: Mapping[str, Any]) -> bytes:
        files = import_module(f"safetensors.{self.library}")
        return files.save({key: _contiguous(value) for key, value in arrays.items()})

    def _checked(self, directory: Path, name: str) -> tuple[bytes, dict[str, Any]]:
        header, path = directory / f"{name}.json", directory / f"{name}.safetensors"
        facts = read_json(header)
        if facts.get("format") != self.version:
            raise ArtifactError(
                f"{header} has format {facts.get('format')!r}, this version reads {self.version}; "
                f"install the version of {self.owner} that wrote it"
            )
        if not path.exists():
            raise ArtifactError(
                f"{path} is missing; the directory is incomplete, restore or remove it"
            )
        data = path.read_bytes()
        if _checksum(data) != facts.get("sha3_256"):
            raise ArtifactError(
                f"{path} is truncated or edited; restore it from a copy or remove it"
            )
        return data, facts


def _checksum(data: bytes) -> str:
    return hashlib.sha3_256(data).hexdigest()


def _contiguous(value: Any) -> Any:
    """Without gaps and gradients, as safetensors wants it; a tensor knows how without its library being loaded here."""
    if hasattr(value, "detach"):
        return value.detach().contiguous()
    import numpy as np

    return np.ascontiguousarray(value)
