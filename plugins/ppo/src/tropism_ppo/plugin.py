"""The hook module of the plugin: names its agents, imports nothing heavy."""

from __future__ import annotations

from collections.abc import Callable

from tropism.agents.hookspecs import hookimpl


@hookimpl
def tropism_register_agents(register: Callable[..., None]) -> None:
    """Register ``ppo`` and ``recurrent-ppo``."""
    register("ppo", "tropism_ppo.agent:PPOAgent", "PPO of Stable-Baselines3: MLP, CNN, dict")
    register(
        "recurrent-ppo",
        "tropism_ppo.recurrent:RecurrentPPOAgent",
        "PPO with an LSTM, of sb3-contrib",
    )
