"""Tensors of a run on disk: safetensors for numbers, JSON for everything else, never pickle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save
from torch import nn

from tropism.agents.artifacts import read_checked, write_checked
from tropism.errors import ArtifactError

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
    data, facts = read_checked(directory, name, FORMAT, "tropism-moe")
    return load(data), facts


def optimiser_tensors(optimiser: torch.optim.Optimizer) -> Tensors:
    """What an optimiser remembers, by parameter and name."""
    state = optimiser.state_dict()["state"]
    return {f"{n}.{k}": v for n, part in state.items() for k, v in part.items()}


def restore_optimiser(optimiser: torch.optim.Optimizer, tensors: Tensors) -> None:
    """Take back what :func:`optimiser_tensors` gave."""
    state: dict[int, Tensors] = {}
    for key, value in tensors.items():
        number, _, name = key.partition(".")
        state.setdefault(int(number), {})[name] = value
    optimiser.load_state_dict({**optimiser.state_dict(), "state": state})


def restore_weights(model: nn.Module, weights: Tensors, where: Path) -> None:
    """Load weights of a model.

    Raises:
        ArtifactError: they are of another model.
    """
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise ArtifactError(f"{where} holds weights of another model: {error}") from error
