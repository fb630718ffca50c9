"""The hooks a plugin may implement: few, and none inside a step loop.

A plugin is a module named in the entry-point group ``tropism``; it decorates functions with
:data:`hookimpl` and takes only the arguments it wants.  Keep the module light: it is imported to list
plugins, so the agent itself is named by a string and imported when somebody asks for it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    import click

hookspec = pluggy.HookspecMarker("tropism")
hookimpl = pluggy.HookimplMarker("tropism")


@hookspec
def tropism_register_agents(register: Callable[..., None]) -> None:
    """Register agents.

    Call ``register(name, target, summary="")`` once an agent: ``name`` is what users type, ``target`` is
    ``"package.module:Class"``, resolved on first use, ``summary`` is one line for the listing.
    """


@hookspec
def tropism_register_commands(cli: click.Group) -> None:
    """Add subcommands to the ``tropism`` command with ``cli.add_command``."""


@hookspec
def tropism_register_envs() -> None:
    """Register environments of your own with ``gymnasium.register``; called before environments are listed or made."""


@hookspec
def tropism_episode_end(episode: Any) -> None:
    """Observe one finished evaluation episode (a :class:`tropism.agents.evaluate.Episode`)."""
