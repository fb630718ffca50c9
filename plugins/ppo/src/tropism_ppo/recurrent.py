"""PPO with an LSTM as a Tropism agent, for tasks where the present observation is not enough."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sb3_contrib import RecurrentPPO
from stable_baselines3.common.distributions import Distribution

from tropism.agents.contract import BoolArray
from tropism_ppo.agent import PPOAgent
from tropism_ppo.config import RecurrentPPOConfig
from tropism_ppo.policy import PPOPolicy


class RecurrentPPOPolicy(PPOPolicy):
    """A policy with one LSTM state a lane, forgotten when the lane begins an episode."""

    Config = RecurrentPPOConfig
    algorithm = "recurrent-ppo"

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._states = self._starts = torch.empty(0)

    def reset(self, mask: BoolArray, seeds: npt.NDArray[np.uint64]) -> None:
        """Begin an episode in the lanes of ``mask``: their draws restart and their states are zero."""
        if len(mask) != len(self._starts):
            lstm = self.network.lstm_actor
            shape = (2, lstm.num_layers, len(mask), lstm.hidden_size)
            self._states = torch.zeros(shape, device=self.network.device)
            self._starts = torch.ones(len(mask), device=self.network.device)
        super().reset(mask, seeds)
        self._starts[torch.from_numpy(np.asarray(mask, bool))] = 1.0

    def _distribution(self, tensor: Any) -> Distribution:
        hidden, cell = self._states
        distribution, states = self.network.get_distribution(tensor, (hidden, cell), self._starts)
        self._states, self._starts = torch.stack(states), torch.zeros_like(self._starts)
        return distribution


class RecurrentPPOAgent(PPOAgent):
    """PPO with an LSTM for actor and critic each, by sb3-contrib; otherwise as :class:`PPOAgent`.

    Sequences run through the LSTM whole (see :mod:`tropism_ppo.networks`), several times as fast as
    sb3-contrib's own loop.
    """

    Config = RecurrentPPOConfig
    policy_type = RecurrentPPOPolicy
    algorithm_type = RecurrentPPO
