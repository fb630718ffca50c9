"""A council on disk: safetensors for numbers, JSON for everything else, never pickle.

::

    council.json             settings, sizes, spaces, SHA3-256 of the weights
    council.safetensors      weights
    training.json            (checkpoints only) steps so far, SHA3-256 of the state below
    training.safetensors     (checkpoints only) state of the optimiser
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load, save

from tropism.agents.artifacts import read_checked, write_checked

if TYPE_CHECKING:
    from tropism_council.policy import CouncilPolicy

FORMAT = 1
Tensors = dict[str, torch.Tensor]


def write_part(directory: Path, name: str, tensors: Tensors, facts: dict[str, Any]) -> None:
    """Write ``<name>.safetensors``, then ``<name>.json`` with ``facts`` and the checksum of the tensors."""
    data = save({key: value.detach().contiguous() for key, value in tensors.items()})
    write_checked(directory, name, data, facts, FORMAT)


def read_part(directory: Path, name: str) -> tuple[Tensors, dict[str, Any]]:
    """Read what :func:`write_part` wrote.

    Raises:
        ArtifactError: a file is missing, damaged, or of another format.
    """
    data, facts = read_checked(directory, name, FORMAT, "tropism-council")
    return load(data), facts


def save_policy(directory: Path, policy: CouncilPolicy) -> None:
    """Write a policy."""
    facts = {
        "config": asdict(policy.config),
        "sizes": list(policy.sizes),
        **policy.spaces,
    }
    write_part(directory, "council", dict(policy.network.state_dict()), facts)
