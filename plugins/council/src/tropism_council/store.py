"""A council on disk: safetensors for numbers, JSON for everything else, never pickle.

::

    council.json             settings, sizes, spaces, SHA3-256 of the weights
    council.safetensors      weights
    training.json            (checkpoints only) steps so far, SHA3-256 of the state below
    training.safetensors     (checkpoints only) state of the optimiser
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load, save

from tropism.agents.artifacts import read_json, write_atomic
from tropism.errors import ArtifactError

if TYPE_CHECKING:
    from tropism_council.policy import CouncilPolicy

FORMAT = 1
Tensors = dict[str, torch.Tensor]


def write_part(directory: Path, name: str, tensors: Tensors, facts: dict[str, Any]) -> None:
    """Write ``<name>.safetensors``, then ``<name>.json`` with ``facts`` and the checksum of the tensors."""
    data = save({key: value.detach().contiguous() for key, value in tensors.items()})
    write_atomic(directory / f"{name}.safetensors", data)
    header = {"format": FORMAT, **facts, "sha3_256": hashlib.sha3_256(data).hexdigest()}
    write_atomic(directory / f"{name}.json", json.dumps(header, indent=1))


def read_part(directory: Path, name: str) -> tuple[Tensors, dict[str, Any]]:
    """Read what :func:`write_part` wrote.

    Raises:
        ArtifactError: a file is missing, damaged, or of another format.
    """
    facts = read_json(directory / f"{name}.json")
    if facts.get("format") != FORMAT:
        raise ArtifactError(
            f"{directory / name}.json has format {facts.get('format')!r}, this version reads {FORMAT}; "
            "install the version of tropism-council that wrote it"
        )
    path = directory / f"{name}.safetensors"
    if not path.exists():
        raise ArtifactError(f"{path} is missing; the directory is incomplete, restore or remove it")
    data = path.read_bytes()
    if hashlib.sha3_256(data).hexdigest() != facts.get("sha3_256"):
        raise ArtifactError(f"{path} is truncated or edited; restore it from a copy or remove it")
    return load(data), facts


def save_policy(directory: Path, policy: CouncilPolicy) -> None:
    """Write a policy."""
    facts = {
        "config": asdict(policy.config),
        "sizes": list(policy.sizes),
        **policy.spaces,
    }
    write_part(directory, "council", dict(policy.network.state_dict()), facts)
