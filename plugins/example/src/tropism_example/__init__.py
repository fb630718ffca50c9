"""The hooks of the example plugin.

This module is imported to list plugins, so it stays light: the agent is named by a string.
"""

from __future__ import annotations

from collections.abc import Callable

from tropism.agents import hookimpl

__version__ = "0.1.0"


@hookimpl
def tropism_register_agents(register: Callable[..., None]) -> None:
    """Register the one agent of this plugin."""
    register(
        "example",
        "tropism_example.agent:ExampleAgent",
        "tabular Q-learning over hashed observations",
    )
