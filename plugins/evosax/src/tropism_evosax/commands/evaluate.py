"""``tropism evo evaluate``: a run's genome on held-out episodes, beside baselines and controls."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tropism_evosax.commands.baseline import (
    heading,
    held_out,
    heldout_options,
    play_baselines,
    row,
)
from tropism_evosax.commands.options import DIRECTORY
from tropism_evosax.commands.running import use_cores
from tropism_evosax.commands.tables import interval_json, players_json, table

if TYPE_CHECKING:
    from tropism_evosax.config import EvoConfig
    from tropism_evosax.heldout import Outcomes
    from tropism_evosax.intervals import Interval


@click.command()
@click.argument("directory", metavar="RUN", type=DIRECTORY)
@heldout_options
@click.option("--genome", default="best", show_default=True, help="Which one: best or mean.")
def evaluate(
    directory: Path,
    episodes: int,
    first_seed: int | None,
    players: tuple[str, ...],
    as_json: bool,
    genome: str,
) -> None:
    """Evaluate RUN on episodes it never met.

    All players meet the same episodes.  Genomes that learn are also played without learning (eta = 0) and
    with the signs of their modulator shuffled; after development everything is also played grown up (adult).
    The last column is how much more the genome's fitness is than the player's, episode by episode.
    """
    from tropism_evosax.heldout import check_seeds, summary
    from tropism_evosax.records import read_run

    seeds = held_out(episodes, first_seed)
    config = read_run(directory)
    check_seeds(config, seeds)
    played = _play(directory, config, genome, seeds, players)
    told = {name: summary(outcomes) for name, outcomes in played.items()}
    gaps = _gaps(played, genome)
    if as_json:
        about = {"run": str(directory), "env_id": config.env_id, "genome": genome}
        about |= {"episodes": episodes, "first_seed": seeds.start}
        differences = {name: interval_json(gap) for name, gap in gaps.items()}
        body = {**about, "players": players_json(told), "differences": differences}
        click.echo(json.dumps(body, indent=1))
        return
    click.echo(f"{directory}: {config.env_id}, {episodes} held-out episodes, 95 % intervals")
    click.echo(table([heading(told, f"{genome} minus it"), *_rows(told, gaps)]))


def _play(
    directory: Path, config: EvoConfig, genome: str, seeds: range, players: tuple[str, ...]
) -> dict[str, Outcomes]:
    """All players; those of a grown-up world say so."""
    use_cores(1)
    from tropism_evosax.evolution import Evolution
    from tropism_evosax.heldout import live
    from tropism_evosax.records import read_champion

    evolution = Evolution(config)
    genes = read_champion(directory, evolution.encoding.spec(), genome)
    found: dict[str, Outcomes] = {}
    for adult in (False, True) if config.env_kwargs.get("development") else (False,):
        ending = ", adult" if adult else ""
        for name, lives in live(evolution, genes, seeds, adult=adult).items():
            found[f"{genome}{name and ', '}{name}{ending}"] = lives
        kwargs = _grown_up(config.env_kwargs) if adult else config.env_kwargs
        others = play_baselines(config.env_id, kwargs, seeds, players)
        found |= {f"{name}{ending}": lives for name, lives in others.items()}
    return found


def _grown_up(kwargs: Any) -> dict[str, Any]:
    """Arguments of the environment with development at its end values."""
    ramps = {name: [ramp[1], ramp[1], 0, 0] for name, ramp in kwargs["development"].items() if ramp}
    return {**kwargs, "development": ramps}


def _gaps(played: dict[str, Outcomes], genome: str) -> dict[str, Interval]:
    """Fitness of the genome minus that of each other player in the same world, paired by episode."""
    from tropism_evosax.intervals import mean_interval

    found = {}
    for name, outcomes in played.items():
        mine = f"{genome}, adult" if name.endswith(", adult") else genome
        if name != mine:
            found[name] = mean_interval(played[mine]["fitness"] - outcomes["fitness"])
    return found


def _rows(told: dict[str, Any], gaps: dict[str, Interval]) -> list[list[str]]:
    from tropism_evosax.intervals import shown

    return [
        row(name, values, shown(gaps[name], 1) if name in gaps else "")
        for name, values in told.items()
    ]
