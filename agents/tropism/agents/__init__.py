"""Agents: the contract, the plugin host, runs, evaluation and baselines.

The names below are loaded on first use, so that listing plugins imports neither NumPy nor Gymnasium.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tropism.agents.hookspecs import hookimpl, hookspec

if TYPE_CHECKING:
    from tropism.agents.conformance import agent_conformance as agent_conformance
    from tropism.agents.contract import Agent as Agent
    from tropism.agents.contract import Budget as Budget
    from tropism.agents.contract import Decision as Decision
    from tropism.agents.contract import Policy as Policy
    from tropism.agents.contract import Task as Task
    from tropism.agents.episodes import Episode as Episode
    from tropism.agents.plugins import PluginHost as PluginHost
    from tropism.agents.plugins import default_host as default_host
    from tropism.agents.runs import Run as Run

__version__ = "0.1.0"

_HOME = {
    "Agent": "contract",
    "Budget": "contract",
    "Decision": "contract",
    "Episode": "episodes",
    "PluginHost": "plugins",
    "Policy": "contract",
    "Run": "runs",
    "Task": "contract",
    "agent_conformance": "conformance",
    "default_host": "plugins",
}

__all__ = [
    "Agent",
    "Budget",
    "Decision",
    "Episode",
    "PluginHost",
    "Policy",
    "Run",
    "Task",
    "agent_conformance",
    "default_host",
    "hookimpl",
    "hookspec",
]


def __getattr__(name: str) -> Any:
    """Load a public name from the module that holds it."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
