"""The policy that plays: a network, an encoder, statistics of observations, and a random stream a lane."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from gymnasium import spaces
from stable_baselines3.common.distributions import Distribution
from stable_baselines3.common.utils import obs_as_tensor

from tropism.agents.contract import BoolArray, Decision, Policy, Task
from tropism.agents.options import build_config
from tropism.errors import ArtifactError
from tropism_ppo.actions import choose, noise_size
from tropism_ppo.config import PPOConfig
from tropism_ppo.encoding import Encoder, make_encoder
from tropism_ppo.networks import make_network
from tropism_ppo.normalization import Normalization
from tropism_ppo.spaces_json import space_to_json
from tropism_ppo.store import config_to_json, load_network, network_arrays, read_part, write_part


class PPOPolicy(Policy):
    """Plays ``B`` lanes with one pass of the network a step; lanes share nothing but the weights.

    Args:
        network: an SB3 actor-critic network for encoded observations.
        config: resolved settings the network was built with.
        encoder: turns observations into what the network takes.
        normalization: statistics gathered in training.
        task_spaces: observation and action space of one lane.
    """

    Config: type[PPOConfig] = PPOConfig
    algorithm = "ppo"

    def __init__(
        self,
        network: Any,
        config: PPOConfig,
        encoder: Encoder,
        normalization: Normalization,
        task_spaces: tuple[spaces.Space[Any], spaces.Space[Any]],
    ) -> None:
        torch.set_num_threads(config.threads)
        network.set_training_mode(False)
        self.network, self.config = network, config
        self.observation_space, self.action_space = task_spaces
        self._encoder, self._normalization = encoder, normalization
        self._random: list[np.random.Generator] = []

    def reset(self, mask: BoolArray, seeds: npt.NDArray[np.uint64]) -> None:
        """Begin an episode in the lanes of ``mask`` (``bool[B]``); their draws restart from ``seeds``."""
        if len(mask) != len(self._random):
            self._random = [np.random.default_rng(0)] * len(mask)
        for lane in np.flatnonzero(mask):
            self._random[lane] = np.random.default_rng(int(seeds[lane]))

    def act(
        self,
        observation: Any,
        info: Mapping[str, Any],  # noqa: ARG002
        gate: BoolArray | None = None,  # noqa: ARG002
    ) -> Decision:
        """One action a lane; ``log_probs`` over a discrete action space, else ``None``.  It has no gate."""
        with torch.no_grad():
            encoded = self._normalization(self._encoder(observation))
            distribution = self._distribution(obs_as_tensor(encoded, self.network.device))
            action, log_probs = choose(distribution, self.action_space, self._noise())
        return Decision(action, np.ones(len(self._random), np.int64), log_probs)

    def _distribution(self, tensor: Any) -> Distribution:
        return self.network.get_distribution(tensor)

    def _noise(self) -> npt.NDArray[np.float64] | None:
        """Fresh numbers a lane: uniform ``[B, k]``, or normal for continuous actions; ``None`` if none are needed."""
        if self.config.deterministic:
            return None
        size = noise_size(self.action_space)
        if isinstance(self.action_space, spaces.Box):
            return np.stack([rng.standard_normal(size) for rng in self._random])
        return np.stack([rng.random(size) for rng in self._random])

    def save(self, directory: Path) -> None:
        """Write ``policy.json`` and ``policy.safetensors`` (see :mod:`tropism_ppo.store`)."""
        arrays = network_arrays(self.network) | self._normalization.tensors()
        facts = {
            "algorithm": self.algorithm,
            "config": config_to_json(self.config),
            "observation_space": space_to_json(self.observation_space),
            "action_space": space_to_json(self.action_space),
        }
        write_part(Path(directory), "policy", arrays, facts)

    @classmethod
    def load(cls, directory: Path, task: Task) -> PPOPolicy:
        """Read what :meth:`save` wrote.

        Raises:
            ArtifactError: if the files are incomplete, damaged, of another algorithm or for other spaces.
        """
        directory = Path(directory)
        arrays, facts = read_part(directory, "policy")
        task_spaces = task.spaces()
        cls._check(directory, facts, task, task_spaces)
        config = build_config(cls.Config, facts["config"], owner=str(directory))
        encoder = make_encoder(config.encoding, config.window, task, task_spaces[0])
        network = make_network(config, encoder.space, task_spaces[1])
        load_network(network, arrays, directory)
        return cls(network, config, encoder, Normalization.from_tensors(arrays), task_spaces)

    @classmethod
    def _check(cls, directory: Path, facts: dict[str, Any], task: Task, task_spaces: Any) -> None:
        if facts.get("algorithm") != cls.algorithm:
            raise ArtifactError(
                f"{directory} holds an agent of algorithm {facts.get('algorithm')!r}, not {cls.algorithm!r}"
            )
        for name, space in zip(("observation_space", "action_space"), task_spaces, strict=True):
            if facts.get(name) != space_to_json(space):
                raise ArtifactError(
                    f"{directory} was trained with {name} {facts.get(name)}, {task.env_id} has {space}; "
                    "load it with the task it was trained on"
                )
