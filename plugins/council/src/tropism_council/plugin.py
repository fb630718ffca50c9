"""The hook module of the plugin: names its agent, imports nothing heavy."""

from __future__ import annotations

from collections.abc import Callable

from tropism.agents.hookspecs import hookimpl


@hookimpl
def tropism_register_agents(register: Callable[..., None]) -> None:
    """Register ``council``."""
    register(
        "council",
        "tropism_council.agent:CouncilAgent",
        "transformer with a pondering council behind a calibrated gate",
    )
