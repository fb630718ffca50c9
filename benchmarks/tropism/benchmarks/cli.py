"""The ``tropism`` command.

Nothing heavy is imported before a command needs it: ``tropism --help`` and ``tropism plugins`` load neither
NumPy nor Gymnasium.  Subcommands live in :mod:`tropism.benchmarks.commands`, one file a group.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module

import click

from tropism.benchmarks import __version__
from tropism.errors import OptionError, TropismError, UnknownNameError

_HOME = "tropism.benchmarks.commands"
_COMMANDS = {
    "envs": "listing",
    "agents": "listing",
    "plugins": "listing",
    "play": "play",
    "train": "training",
    "evaluate": "evaluation",
    "leaderboard": "leaderboard",
    "ledger": "ledger",
    "bench": "bench",
    "bridge": "bridge",
}

INTERRUPTED = 130
"""Exit status after Ctrl-C, 128 + SIGINT."""


@dataclass
class Settings:
    """What the options in front of the subcommand set.

    Attributes:
        debug: Show tracebacks of expected errors.
    """

    debug: bool = False


class LazyGroup(click.Group):
    """Loads a subcommand when it is asked for, and plugins only for help or an unknown name."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """The suite's own commands in their order, then those of plugins."""
        self._ask_plugins()
        return [*_COMMANDS, *sorted(set(self.commands) - set(_COMMANDS))]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The subcommand, from its module or from a plugin."""
        if cmd_name in _COMMANDS:
            return getattr(import_module(f"{_HOME}.{_COMMANDS[cmd_name]}"), cmd_name)
        if cmd_name not in self.commands:
            self._ask_plugins()
        return self.commands.get(cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Suggest the nearest command for an unknown one."""
        name = args[0]
        if not name.startswith("-") and self.get_command(ctx, name) is None:
            raise UnknownNameError("command", name, self.list_commands(ctx))
        return super().resolve_command(ctx, args)

    def _ask_plugins(self) -> None:
        from tropism.agents.plugins import default_host

        default_host().add_commands(self)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="tropism")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.pass_obj
def cli(settings: Settings, debug: bool) -> None:
    """Environments that change under the agent, agents that plug in, and a leaderboard of both."""
    settings.debug = debug


def run(arguments: Sequence[str]) -> int:
    """Run the command line and return the exit status.

    2 for what the user mistyped (unknown names, options out of range), 1 for what went wrong, 130 for
    Ctrl-C.
    """
    settings = Settings()
    try:
        status = cli.main(list(arguments), prog_name="tropism", standalone_mode=False, obj=settings)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted. Finished cells and checkpoints are kept.", err=True)
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (TropismError, OSError) as error:
        if settings.debug:
            raise
        click.echo(f"Error: {error}", err=True)
        return 2 if isinstance(error, UnknownNameError | OptionError) else 1
    except Exception as error:
        if settings.debug or not _is_gymnasium_error(error):
            raise
        click.echo(f"Error: {error}", err=True)
        return 1
    return status or 0  # click hands back the status of a command that asked to exit


def _is_gymnasium_error(error: Exception) -> bool:
    """Whether Gymnasium says what is wrong, a missing dependency say; without importing it to ask."""
    return any(kind.__module__ == "gymnasium.error" for kind in type(error).__mro__)


def _show_warning(message: Warning | str, *_: object) -> None:
    """A warning as one line for a person."""
    click.echo(f"Warning: {message}", err=True)


def main() -> None:
    """Entry point of the ``tropism`` command."""
    warnings.showwarning = _show_warning
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
