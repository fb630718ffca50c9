"""``tropism evo batch``: several seeds in one compiled program, and what they come to together."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tropism_evosax.commands.baseline import held_out
from tropism_evosax.commands.options import DIRECTORY, evolution_options, make_config
from tropism_evosax.commands.running import described, run
from tropism_evosax.commands.tables import table

if TYPE_CHECKING:
    from tropism_evosax.evolution import Evolution
    from tropism_evosax.evolve import Evolved
    from tropism_evosax.intervals import Interval


@click.command()
@click.argument("env_id", metavar="ID")
@evolution_options
@click.option(
    "--seeds", default="5", show_default=True, help="How many, from 0 on, or which: 3,7,8."
)
@click.option("--out", type=DIRECTORY, help="Holds a run a seed  [runs/evo-LEVEL].")
@click.option("--resume", is_flag=True, help="Go on with the runs in --out.")
@click.option("--held-out", "lives", default=512, show_default=True, help="Held-out episodes.")
def batch(
    env_id: str,
    seeds: str,
    out: Path | None,
    resume: bool,
    devices: int | None,
    lives: int,
    **given: Any,
) -> None:
    """Evolve with several seeds, a run directory each."""
    from tropism_evosax.heldout import check_seeds

    chosen = _seeds(seeds)
    episodes = held_out(lives, None)
    config = make_config(env_id, given)
    check_seeds(config, episodes)
    home = out or Path("runs") / f"evo-{env_id.rpartition('/')[2]}"
    folders = [home / f"seed-{seed}" for seed in chosen]
    evolution, evolved = run(config, chosen, folders, resume=resume, devices=devices)
    for one, folder in zip(evolved, folders, strict=True):
        click.echo(f"{folder}: {described(one)}")
    click.echo(f"\n{env_id}, champions on {lives} held-out episodes, 95 % intervals")
    click.echo(table(_rows(evolution, evolved, episodes)))


def _seeds(text: str) -> list[int]:
    """Seeds from a count or a list.

    Raises:
        OptionError: for anything else, or a seed twice.
    """
    from tropism.errors import OptionError

    parts = text.split(",")
    whole = all(part.strip().isdigit() for part in parts)
    seeds = [int(part) for part in parts] if whole else []
    if whole and len(parts) == 1:
        seeds = list(range(seeds[0]))
    if not seeds or len(set(seeds)) < len(seeds):
        raise OptionError(f"seeds must be how many, or different ones with commas, got {text!r}")
    return seeds


def _rows(evolution: Evolution, evolved: list[Evolved], episodes: range) -> list[list[str]]:
    """One row a seed, and one of their means, whose interval is over seeds."""
    import numpy as np

    from tropism_evosax.heldout import METRICS, of_lives
    from tropism_evosax.intervals import Interval, mean_interval, shown

    lives = evolution.assess(np.stack([one.best for one in evolved]), episodes)
    values = of_lives(lives, evolution.face.params)

    def row(name: str, intervals: Iterable[Interval]) -> list[str]:
        digits = (METRICS[metric] for metric in values)
        return [name, *(shown(i, d) for i, d in zip(intervals, digits, strict=True))]

    rows = [["seed", *values]]
    for n, one in enumerate(evolved):
        rows.append(row(str(one.seed), (mean_interval(v[n]) for v in values.values())))
    over_seeds = {m: mean_interval(v.mean(axis=1, dtype=np.float64)) for m, v in values.items()}
    if "success" in over_seeds:  # a share
        over_seeds["success"] = Interval(*np.clip(over_seeds["success"], 0, 1).tolist())
    return [*rows, row("mean", over_seeds.values())]
