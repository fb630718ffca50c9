"""A network of a stage at play: what its successors, and the packed form, are compared with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from tropism.agents.contract import BoolArray, Decision, Policy
from tropism.agents.torch_state import restore_weights
from tropism_moe.choices import Choices
from tropism_moe.config import ModelConfig
from tropism_moe.encoders import Encoder
from tropism_moe.lattice import gini
from tropism_moe.model import Model, Routing, State, forget
from tropism_moe.packed import ternarise
from tropism_moe.store import read_part, write_part

HOME = "stages"
"""Of the networks that stages ended with, inside a run directory."""


def save_network(model: Model, directory: Path, stage: str) -> None:
    """Keep the network that ``stage`` ended with."""
    place = directory / HOME
    place.mkdir(exist_ok=True)
    write_part(place, stage, dict(model.state_dict()), {"config": model.config.to_json()})


def load_network(directory: Path, stage: str) -> Model:
    """What :func:`save_network` kept.

    Raises:
        ArtifactError: a file is missing, damaged, or of another model.
    """
    weights, facts = read_part(directory / HOME, stage)
    model = Model(ModelConfig(**facts["config"]))
    model = ternarise(model) if stage == "ternary" else model
    restore_weights(model, weights, directory / HOME / stage)
    return model.requires_grad_(False)


class NetworkPolicy(Policy):
    """Acts by a torch network.

    Args:
        model: the network.
        encoder: of observations.
        choices: of actions.
        routing: of the network; by default the nearest expert, chosen at a block's entry.

    Attributes:
        load: how often each expert was asked, ``int64[layers with experts, E]``.
    """

    def __init__(
        self, model: Model, encoder: Encoder, choices: Choices, routing: Routing | None = None
    ) -> None:
        self.model, self.encoder, self.choices = model, encoder, choices
        self.routing = routing or Routing()
        config = model.config
        self.load = np.zeros((len(config.expert_layers), config.experts), np.int64)
        self._state: State | None = None
        self._lanes = 0

    def reset(self, mask: BoolArray, seeds: npt.NDArray[np.uint64]) -> None:  # noqa: ARG002  nothing is drawn
        """Begin an episode in the lanes of ``mask``."""
        if self._state is None or self._lanes != len(mask):
            self._state, self._lanes = self.model.begin(len(mask)), len(mask)
        self._state = forget(self._state, torch.from_numpy(np.asarray(mask)))

    @torch.no_grad()
    def act(
        self,
        observation: Any,
        info: Mapping[str, Any],  # noqa: ARG002  all it needs is shown
        gate: BoolArray | None = None,  # noqa: ARG002  it has one mode
    ) -> Decision:
        """The likeliest actions."""
        if self._state is None:
            raise RuntimeError("NetworkPolicy.act() before reset(); call reset(mask, seeds) first")
        seen = torch.from_numpy(self.encoder(observation))[:, None]
        output, self._state = self.model(seen, self._state, None, self.routing)
        said = output.outputs[:, 0]
        for layer, route in enumerate(output.routes):
            self.load[layer] += np.bincount(route.expert.ravel().numpy(), minlength=self.load.shape[1])  # fmt: skip
        log_probs = None
        if len(self.choices.counts) == 1:
            log_probs = torch.log_softmax(said, -1).numpy()
        return Decision(
            self.choices.best(said.numpy()), np.ones(len(said), np.int64), log_probs, {}
        )

    @property
    def unevenness(self) -> float:
        """Gini coefficient of the load, the mean over layers."""
        return float(np.mean([gini(row) for row in self.load]))

    def save(self, directory: Path) -> None:
        """Write the network, as ``network``; settings are those of the agent that trained it."""
        write_part(directory, "network", dict(self.model.state_dict()), {"config": self.model.config.to_json()})  # fmt: skip
