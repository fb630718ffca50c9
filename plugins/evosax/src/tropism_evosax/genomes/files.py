"""A genome on disk: one ``.npz`` without pickle, with the spec of its encoding as JSON inside.

======== ==================== ======================================
array    type                 what
======== ==================== ======================================
genome   float32[num_params]  the genes
spec     uint8[n]             JSON of ``Encoding.spec()``, UTF-8
======== ==================== ======================================
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from tropism.agents.arrays import load_arrays, save_arrays
from tropism.errors import ArtifactError
from tropism_evosax.networks.contract import SPEC_VERSION


def write_genome(path: str | os.PathLike[str], genome: Any, spec: Mapping[str, Any]) -> None:
    """Write ``genome`` and ``spec``; ``path`` holds either its old content or all of the new.

    Args:
        path: ends in ``.npz`` by custom.
        genome: float32[num_params], NumPy or JAX.
        spec: ``spec()`` of its encoding.

    Raises:
        tropism.errors.ArtifactError: for a genome that is not finite or does not fit ``spec``; nothing is written.
    """
    genes = np.asarray(genome, np.float32)
    _check(path, genes, spec)
    text = np.frombuffer(json.dumps(dict(spec)).encode(), np.uint8)
    save_arrays(path, {"genome": genes, "spec": text})


def read_genome(
    path: str | os.PathLike[str], spec: Mapping[str, Any] | None = None
) -> tuple[npt.NDArray[np.float32], dict[str, Any]]:
    """Genome and spec in ``path``.

    Args:
        path: what :func:`write_genome` wrote.
        spec: what its spec must be; ``None`` takes any.

    Raises:
        tropism.errors.ArtifactError: if it is missing, truncated or edited, of another version or shape, not
            finite, or not of ``spec``.
    """
    arrays = load_arrays(path)
    if arrays.keys() != {"genome", "spec"}:
        raise ArtifactError(f"{path} must hold 'genome' and 'spec', it holds {sorted(arrays)}")
    found = _parse(path, arrays["spec"])
    _check(path, arrays["genome"], found)
    wanted = found if spec is None else json.loads(json.dumps(dict(spec)))
    if found != wanted:
        raise ArtifactError(f"{path} is for another network: {_difference(found, wanted)}")
    return arrays["genome"], found


def _parse(path: str | os.PathLike[str], text: npt.NDArray[Any]) -> dict[str, Any]:
    try:
        found = json.loads(text.tobytes())
    except ValueError as error:
        raise ArtifactError(f"{path}: spec is no JSON ({error}); restore it from a copy") from error
    if not isinstance(found, dict):
        raise ArtifactError(f"{path}: spec must be an object, it is {type(found).__name__}")
    return found


def _check(path: str | os.PathLike[str], genome: npt.NDArray[Any], spec: Mapping[str, Any]) -> None:
    """Refuse a genome that ``spec`` does not describe."""
    if spec.get("version") != SPEC_VERSION:
        raise ArtifactError(
            f"{path}: version of the genome is {spec.get('version')!r}, this version reads {SPEC_VERSION}; "
            "install the version of tropism-evosax that wrote it"
        )
    expected = (spec.get("num_params"),)
    if genome.dtype != np.float32 or genome.shape != expected:
        raise ArtifactError(
            f"{path}: genome must be float32{list(expected)}, it is {genome.dtype}{list(genome.shape)}"
        )
    if not np.isfinite(genome).all():
        gene = int(np.flatnonzero(~np.isfinite(genome))[0])
        raise ArtifactError(f"{path}: gene {gene} is {genome[gene]}; every gene must be finite")


def _difference(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    names = sorted(
        name for name in found.keys() | wanted.keys() if found.get(name) != wanted.get(name)
    )
    return ", ".join(
        f"{name} is {found.get(name)!r}, wanted {wanted.get(name)!r}" for name in names
    )
