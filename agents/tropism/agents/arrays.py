"""Named arrays in one ``.npz`` file: written atomically, without pickle, and read back whole or not at all."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tropism.agents.artifacts import write_atomic
from tropism.errors import ArtifactError


def save_arrays(path: str | os.PathLike[str], arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Write ``arrays`` to ``path``.

    Raises:
        ValueError: for an array of objects, which only pickle could hold.
    """
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **dict(arrays))  # pyright: ignore[reportArgumentType]  an array may have any name
    write_atomic(path, buffer.getvalue())


def load_arrays(path: str | os.PathLike[str]) -> dict[str, npt.NDArray[Any]]:
    """The arrays in ``path``.

    Raises:
        tropism.errors.ArtifactError: if it is missing, truncated, edited, or holds objects.
    """
    try:
        with np.load(io.BytesIO(Path(path).read_bytes()), allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except Exception as error:  # damaged bytes make zipfile and NumPy raise nearly anything
        raise ArtifactError(
            f"{path} cannot be read ({error}); restore it, or make it again"
        ) from error
