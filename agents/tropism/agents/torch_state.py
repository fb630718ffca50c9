"""What networks and optimisers of torch remember, as tensors by name; torch itself is not needed here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tropism.errors import ArtifactError


def optimiser_tensors(optimiser: Any, prefix: str = "") -> dict[str, Any]:
    """What a ``torch.optim.Optimizer`` remembers: ``<prefix><parameter's number>.<name>`` -> tensor."""
    state = optimiser.state_dict()["state"]
    return {f"{prefix}{n}.{k}": v for n, part in state.items() for k, v in part.items()}


def restore_optimiser(optimiser: Any, tensors: Mapping[str, Any], prefix: str = "") -> None:
    """Take back what :func:`optimiser_tensors` gave; tensors without the prefix are somebody else's."""
    state: dict[int, dict[str, Any]] = {}
    for key, value in tensors.items():
        if key.startswith(prefix):
            number, _, name = key.removeprefix(prefix).partition(".")
            state.setdefault(int(number), {})[name] = value
    optimiser.load_state_dict({**optimiser.state_dict(), "state": state})


def restore_weights(network: Any, weights: Mapping[str, Any], origin: Path) -> None:
    """Load the weights of a ``torch.nn.Module``.

    Raises:
        ArtifactError: they are of another network.
    """
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise ArtifactError(f"{origin} holds weights of another network: {error}") from error
