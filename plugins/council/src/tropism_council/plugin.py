"""The hook module of the plugin: names its agent and its command, imports nothing heavy."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tropism.agents.hookspecs import hookimpl

if TYPE_CHECKING:
    import click


@hookimpl
def tropism_register_agents(register: Callable[..., None]) -> None:
    """Register ``council``."""
    register(
        "council",
        "tropism_council.agent:CouncilAgent",
        "transformer with a pondering council behind a calibrated gate",
    )


@hookimpl
def tropism_register_commands(cli: click.Group) -> None:
    """Add ``tropism council``."""
    from tropism_council.commands import council

    cli.add_command(council)
