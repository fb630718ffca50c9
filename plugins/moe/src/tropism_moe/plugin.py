"""The hook module of the plugin: names its agent and its command, imports nothing heavy."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tropism.agents.hookspecs import hookimpl

if TYPE_CHECKING:
    import click


@hookimpl
def tropism_register_agents(register: Callable[..., None]) -> None:
    """Register ``moe``."""
    register(
        "moe",
        "tropism_moe.agent:MoEAgent",
        "recurrent policy of ternary experts that are read from disk as they are needed",
    )


@hookimpl
def tropism_register_commands(cli: click.Group) -> None:
    """Add ``tropism moe``."""
    from tropism_moe.commands import moe

    cli.add_command(moe)
