"""An agent on disk: safetensors for numbers, JSON for everything else, never pickle.

::

    policy.json             format, algorithm, resolved config, encoding, spaces, SHA3-256 of the weights
    policy.safetensors      weights of the network, statistics of the observations
    training.json           (checkpoints only) steps and updates so far, SHA3-256 of the state below
    training.safetensors    (checkpoints only) state of the optimiser, statistics of the rewards
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.numpy import load, save

from tropism.agents.artifacts import read_checked, write_checked
from tropism.errors import ArtifactError

FORMAT = 1
"""Version of this layout; files of a greater one are refused."""

Arrays = dict[str, npt.NDArray[Any]]


def write_part(directory: Path, name: str, arrays: Arrays, facts: dict[str, Any]) -> None:
    """Write ``<name>.safetensors``, then ``<name>.json`` with ``facts`` and the checksum of the arrays."""
    data = save({key: np.ascontiguousarray(value) for key, value in arrays.items()})
    write_checked(directory, name, data, facts, FORMAT)


def read_part(directory: Path, name: str) -> tuple[Arrays, dict[str, Any]]:
    """Read what :func:`write_part` wrote.

    Raises:
        ArtifactError: if a file is missing, damaged, or of a newer format.
    """
    data, facts = read_checked(directory, name, FORMAT, "tropism-ppo")
    return load(data), facts


def network_arrays(network: torch.nn.Module) -> Arrays:
    """Weights of ``network`` by name."""
    return {f"network.{k}": v.detach().cpu().numpy() for k, v in network.state_dict().items()}


def load_network(network: torch.nn.Module, arrays: Arrays, origin: Path) -> None:
    """Put weights that :func:`network_arrays` took back into a network of the same shape.

    Raises:
        ArtifactError: if names or shapes differ.
    """
    head = "network."
    state = {
        k.removeprefix(head): torch.from_numpy(v) for k, v in arrays.items() if k.startswith(head)
    }
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise ArtifactError(f"{origin} holds weights of another network: {error}") from error


def optimizer_arrays(optimizer: torch.optim.Optimizer) -> Arrays:
    """State of ``optimizer`` by parameter number and name, for example ``optimizer.0.exp_avg``."""
    return {
        f"optimizer.{number}.{name}": value.detach().cpu().numpy()
        for number, state in optimizer.state_dict()["state"].items()
        for name, value in state.items()
    }


def load_optimizer(optimizer: torch.optim.Optimizer, arrays: Arrays) -> None:
    """Put the state that :func:`optimizer_arrays` took back."""
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in arrays.items():
        if key.startswith("optimizer."):
            _, number, name = key.split(".")
            state.setdefault(int(number), {})[name] = torch.from_numpy(value)
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})


def config_to_json(config: Any) -> dict[str, Any]:
    """A config as JSON values; :func:`tropism.agents.options.build_config` reads them back."""
    return json.loads(json.dumps(asdict(config)))
