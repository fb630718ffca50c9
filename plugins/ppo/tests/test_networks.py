from __future__ import annotations

from typing import Any

import pytest
import torch
from gymnasium import spaces
from sb3_contrib.common.recurrent.policies import RecurrentActorCriticPolicy

from tropism_ppo.config import RecurrentPPOConfig
from tropism_ppo.networks import make_network


@pytest.mark.parametrize("middle_start", [False, True])
def test_whole_sequences_give_what_the_loop_over_steps_gives(middle_start):
    torch.manual_seed(0)
    config = RecurrentPPOConfig(net_arch=(8,), value_arch=(), lstm_size=5)
    network: Any = make_network(config, spaces.Box(-1, 1, (3,)), spaces.Discrete(2))
    sequences, length = 4, 6
    features = torch.randn(sequences * length, 3)
    states = torch.randn(1, sequences, 5), torch.randn(1, sequences, 5)
    starts = torch.zeros(sequences, length)
    starts[:2, 0] = 1
    starts[3, 2] = middle_start
    arguments = (features, states, starts.flatten(), network.lstm_actor)
    output, (hidden, cell) = network._process_sequence(*arguments)
    expected, (h, c) = RecurrentActorCriticPolicy._process_sequence(*arguments)  # type: ignore[misc]
    torch.testing.assert_close(output, expected)
    torch.testing.assert_close(hidden, h)
    torch.testing.assert_close(cell, c)
