"""``tropism evo baseline``: what an environment's own players reach on the held-out episodes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import click

from tropism_evosax.commands.options import PAIRS, environment, known_env
from tropism_evosax.commands.tables import players_json, table

if TYPE_CHECKING:
    from tropism_evosax.heldout import Outcomes
    from tropism_evosax.intervals import Interval

Command = TypeVar("Command", bound=Callable[..., Any])
OPTIONS = (
    click.option("--episodes", default=512, show_default=True, help="Held-out episodes."),
    click.option("--first-seed", type=int, help="Reset seed of the first one  [424242]."),
    click.option("--player", "players", multiple=True, help="Only this baseline; may be repeated."),
    click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table."),
)  # fmt: skip


def heldout_options(command: Command) -> Command:
    """Give ``command`` the options of held-out episodes."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


@click.command()
@click.argument("env_id", metavar="ID")
@heldout_options
@click.option("--env", **PAIRS, help="Option of the environment.")
@click.option("--development", multiple=True, metavar="RAMP=LOW:HIGH:START:END", help="Grow up.")
def baseline(
    env_id: str,
    episodes: int,
    first_seed: int | None,
    players: tuple[str, ...],
    as_json: bool,
    env: tuple[str, ...],
    development: tuple[str, ...],
) -> None:
    """Play the baselines of the environment ID."""
    from tropism_evosax.heldout import summary

    seeds = held_out(episodes, first_seed)
    played = play_baselines(known_env(env_id), environment(env, development), seeds, players)
    told = {name: summary(outcomes) for name, outcomes in played.items()}
    about = {"env_id": env_id, "episodes": episodes, "first_seed": seeds.start}
    if as_json:
        click.echo(json.dumps({**about, "players": players_json(told)}, indent=1))
        return
    click.echo(f"{env_id}, {episodes} held-out episodes, 95 % intervals")
    click.echo(table([heading(told), *(row(name, values) for name, values in told.items())]))


def held_out(episodes: int, first_seed: int | None) -> range:
    """Reset seeds of the held-out episodes.

    Raises:
        OptionError: for numbers out of range.
    """
    from tropism.limits import check_number
    from tropism_evosax.heldout import FIRST_SEED

    first = FIRST_SEED if first_seed is None else first_seed
    check_number("episodes", episodes, 2, 1_000_000, integer=True)
    check_number("first-seed", first, 0, 2**31, integer=True)
    return range(first, first + episodes)


def play_baselines(
    env_id: str, kwargs: Mapping[str, Any], seeds: range, players: tuple[str, ...]
) -> dict[str, Outcomes]:
    """What becomes of the baselines ``players``, or all of them.

    Raises:
        UnknownNameError: for a player that the environment does not offer.
        OptionError: if the environment refuses ``kwargs``.
    """
    from tropism.agents.contract import Task
    from tropism.agents.progress import progress
    from tropism.errors import OptionError, TropismError
    from tropism_evosax.checks import check_name
    from tropism_evosax.heldout import baselines, play

    task = Task(env_id, dict(kwargs))
    try:
        offered = baselines(task)
    except (TypeError, ValueError) as error:  # a keyword that its constructor does not take
        if isinstance(error, TropismError):
            raise
        raise OptionError(f"{env_id} does not take {dict(kwargs)}: {error}") from error
    for name in players:
        check_name("baseline", name, offered)
    chosen = players or tuple(offered)
    found = {}
    with progress(len(chosen), "baselines") as update:
        for number, name in enumerate(chosen, start=1):
            found[name] = play(name, task, seeds)
            update(number)
    return found


def heading(told: Mapping[str, Mapping[str, Interval]], *more: str) -> list[str]:
    """The head of a table of players."""
    return ["player", *next(iter(told.values())), *more]


def row(name: str, told: Mapping[str, Interval], *more: str) -> list[str]:
    """One player of a table."""
    from tropism_evosax.heldout import METRICS
    from tropism_evosax.intervals import shown

    return [name, *(shown(value, METRICS[metric]) for metric, value in told.items()), *more]
