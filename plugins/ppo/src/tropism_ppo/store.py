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

import numpy.typing as npt
import torch

from tropism.agents.parts import Parts
from tropism.agents.torch_state import optimiser_tensors, restore_optimiser, restore_weights

PARTS = Parts("tropism-ppo", 1, "numpy")
Arrays = dict[str, npt.NDArray[Any]]
write_part, read_part = PARTS.write, PARTS.read


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
    restore_weights(network, state, origin)


def optimizer_arrays(optimizer: torch.optim.Optimizer) -> Arrays:
    """State of ``optimizer`` by parameter number and name, for example ``optimizer.0.exp_avg``."""
    tensors = optimiser_tensors(optimizer, "optimizer.")
    return {key: value.detach().cpu().numpy() for key, value in tensors.items()}


def load_optimizer(optimizer: torch.optim.Optimizer, arrays: Arrays) -> None:
    """Put the state that :func:`optimizer_arrays` took back."""
    tensors = {k: torch.from_numpy(v) for k, v in arrays.items() if k.startswith("optimizer.")}
    restore_optimiser(optimizer, tensors, "optimizer.")


def config_to_json(config: Any) -> dict[str, Any]:
    """A config as JSON values; :func:`tropism.agents.options.build_config` reads them back."""
    return json.loads(json.dumps(asdict(config)))
