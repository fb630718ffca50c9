"""``tropism evo plot``: how runs went, generation by generation."""

from __future__ import annotations

from pathlib import Path

import click

from tropism_evosax.commands.options import DIRECTORY


@click.command()
@click.argument("directories", metavar="RUN...", nargs=-1, required=True, type=DIRECTORY)
@click.option("--out", type=DIRECTORY, default=Path("evolution.png"), show_default=True,
              help="Picture to write: *.png, *.svg or *.pdf.")  # fmt: skip
def plot(directories: tuple[Path, ...], out: Path) -> None:
    """Plot how RUNs went, generation by generation.

    Fitness, entropy of actions, share of viable genomes where there is a filter, and learning where there is any.
    Runs that differ in nothing but their seed share a colour: their mean, in a band from lowest to highest.
    Needs matplotlib: pip install "tropism-evosax[plot]".
    """
    from tropism_evosax.plots import plot_runs

    click.echo(f"{plot_runs(directories, out)} written")
