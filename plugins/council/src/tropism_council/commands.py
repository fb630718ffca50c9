"""``tropism council``: what a trained council does, as a page of pictures.

Nothing heavy is imported before a command runs: the hook module loads this module whenever somebody asks for help.
"""

from __future__ import annotations

from pathlib import Path

import click

from tropism.errors import UnknownNameError


class Group(click.Group):
    """Suggests the nearest command for an unknown one."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that is asked for."""
        if not args[0].startswith("-") and args[0] not in self.commands:
            raise UnknownNameError("command of `tropism council`", args[0], self.commands)
        return super().resolve_command(ctx, args)


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
def council() -> None:
    """Look into a trained council (needs the plugin tropism-council)."""


@council.command()
@click.argument("directory", metavar="RUN", type=click.Path(path_type=Path))
@click.option("--episodes", default=8, show_default=True, help="Held-out episodes to play.")
@click.option("--seed", type=int, help="Seed of the first of them  [10000].")
@click.option(
    "--output", type=click.Path(path_type=Path), help="Page to write  [RUN/council.html]."
)
@click.option("--open/--no-open", "look", default=False, help="Show the page in a browser.")
def show(directory: Path, episodes: int, seed: int | None, output: Path | None, look: bool) -> None:
    """Write a page about RUN: when its gate wakes the council, and what that is worth.

    RUN is a directory of `tropism train council`.  Held-out episodes are played as the gate decides, by System 1
    alone, and with System 2 asked at every step.  The page is one file that loads nothing.
    """
    from tropism_council.show import show as write

    path = write(directory, episodes=episodes, seed=seed, output=output)
    click.echo(f"{path} written")
    if look:
        click.launch(str(path))
