"""The hook module of the plugin: names its agents and its command, imports nothing heavy."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tropism.agents.hookspecs import hookimpl

if TYPE_CHECKING:
    import click


@hookimpl
def tropism_register_agents(register: Callable[..., None]) -> None:
    """Register ``evosax`` and ``evosax-plastic``."""
    register(
        "evosax",
        "tropism_evosax.agent:EvosaxAgent",
        "neuroevolution of spiking, plastic and recurrent networks by evosax",
    )
    register(
        "evosax-plastic",
        "tropism_evosax.agent:EvosaxPlasticAgent",
        "the same, with spiking networks that learn while they play",
    )


@hookimpl
def tropism_register_commands(cli: click.Group) -> None:
    """Add ``tropism evo``."""
    from tropism_evosax.commands import evo

    cli.add_command(evo)
