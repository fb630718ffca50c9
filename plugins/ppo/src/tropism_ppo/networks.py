"""The network of an agent: which SB3 policy class fits an encoded observation, and with which layers."""

from __future__ import annotations

from typing import Any

import torch
from gymnasium import spaces
from sb3_contrib.common.recurrent.policies import (
    RecurrentActorCriticCnnPolicy,
    RecurrentActorCriticPolicy,
    RecurrentMultiInputActorCriticPolicy,
)
from stable_baselines3.common.policies import (
    ActorCriticCnnPolicy,
    ActorCriticPolicy,
    MultiInputActorCriticPolicy,
)
from torch import Tensor, nn

from tropism_ppo.config import PPOConfig, RecurrentPPOConfig
from tropism_ppo.encoding import is_image

States = tuple[Tensor, Tensor]


class _WholeSequences(RecurrentActorCriticPolicy):
    """Runs the LSTM over whole sequences at once where sb3-contrib loops over their steps.

    The rollout buffer cuts sequences at episode starts, so a start is always a first element: forgetting the
    state there once is enough (https://github.com/Stable-Baselines-Team/stable-baselines3-contrib/issues/113).
    """

    @staticmethod
    def _process_sequence(
        features: Tensor, lstm_states: States, episode_starts: Tensor, lstm: nn.LSTM
    ) -> tuple[Tensor, Any]:
        """LSTM outputs ``[n_seq * length, hidden]`` and final states of ``n_seq`` sequences."""
        n_seq = lstm_states[0].shape[1]
        starts = episode_starts.reshape(n_seq, -1)
        if torch.any(starts[:, 1:]):
            return RecurrentActorCriticPolicy._process_sequence(
                features, lstm_states, episode_starts, lstm
            )
        keep = (1.0 - starts[:, 0]).view(1, n_seq, 1)
        sequence = features.reshape(n_seq, -1, lstm.input_size).swapaxes(0, 1)
        output, states = lstm(sequence, (keep * lstm_states[0], keep * lstm_states[1]))
        return output.transpose(0, 1).flatten(0, 1), states

    def evaluate_actions(
        self, obs: Tensor, actions: Tensor, lstm_states: Any, episode_starts: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Values, log-probabilities and entropies ``[batch]`` of a minibatch."""
        if actions.dtype == torch.int8:  # MultiBinary, of which torch's Bernoulli takes no int8
            actions = actions.float()
        return super().evaluate_actions(obs, actions, lstm_states, episode_starts)


class MlpLstmPolicy(_WholeSequences):
    """Vectors, through an LSTM."""


class CnnLstmPolicy(_WholeSequences, RecurrentActorCriticCnnPolicy):
    """Images, through a CNN and an LSTM."""


class MultiInputLstmPolicy(_WholeSequences, RecurrentMultiInputActorCriticPolicy):
    """Dictionaries, through an LSTM."""


def policy_class(space: spaces.Space[Any], *, recurrent: bool) -> type[ActorCriticPolicy]:
    """The SB3 policy class for an encoded observation ``space``."""
    if isinstance(space, spaces.Dict):
        return MultiInputLstmPolicy if recurrent else MultiInputActorCriticPolicy
    if is_image(space):
        return CnnLstmPolicy if recurrent else ActorCriticCnnPolicy
    return MlpLstmPolicy if recurrent else ActorCriticPolicy


def policy_kwargs(config: PPOConfig) -> dict[str, Any]:
    """Arguments of the policy class; ``config`` must be resolved."""
    assert config.net_arch is not None
    assert config.value_arch is not None
    arguments: dict[str, Any] = {
        "net_arch": {"pi": list(config.net_arch), "vf": list(config.value_arch)},
        "activation_fn": nn.ReLU if config.activation == "relu" else nn.Tanh,
    }
    if isinstance(config, RecurrentPPOConfig):
        arguments["lstm_hidden_size"] = config.lstm_size
    return arguments


def make_network(
    config: PPOConfig, observation_space: spaces.Space[Any], action_space: spaces.Space[Any]
) -> ActorCriticPolicy:
    """An untrained network for encoded observations, on the device of ``config``."""
    recurrent = isinstance(config, RecurrentPPOConfig)
    build = policy_class(observation_space, recurrent=recurrent)
    network = build(observation_space, action_space, lambda _: 0.0, **policy_kwargs(config))
    return network.to(config.device)
