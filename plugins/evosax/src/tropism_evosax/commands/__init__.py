"""``tropism evo``: evolve, evaluate, plot and replay.

Nothing heavy is imported before a command runs: the hook module loads this package whenever somebody asks for help.
"""

from __future__ import annotations

from importlib import import_module

import click

from tropism.errors import UnknownNameError

NAMES = ("train", "batch", "evaluate", "baseline", "plot", "replay")
"""The subcommands; each is a function in the module of its name."""


class LazyGroup(click.Group):
    """Loads a subcommand when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """The subcommands, in the order one needs them."""
        return list(NAMES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The subcommand, from its module."""
        if cmd_name not in NAMES:
            return None
        return getattr(import_module(f"{__name__}.{cmd_name}"), cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Suggest the nearest command for an unknown one."""
        if not args[0].startswith("-") and args[0] not in NAMES:
            raise UnknownNameError("command of `tropism evo`", args[0], NAMES)
        return super().resolve_command(ctx, args)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
def evo() -> None:
    """Evolve spiking, plastic and recurrent networks (needs the plugin tropism-evosax)."""
