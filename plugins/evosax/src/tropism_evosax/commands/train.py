"""``tropism evo train``: evolve on an environment, into a run directory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tropism_evosax.commands.options import DIRECTORY, evolution_options, make_config
from tropism_evosax.commands.running import described, run


@click.command()
@click.argument("env_id", metavar="[ID]", required=False)
@evolution_options
@click.option("--seed", type=int, help="Decides everything random  [0].")
@click.option("--out", type=DIRECTORY, help="Run directory  [runs/evo-LEVEL-SEED].")
@click.option("--resume", is_flag=True, help="Go on with the run in --out; it knows its options.")
def train(
    env_id: str | None, out: Path | None, resume: bool, devices: int | None, **given: Any
) -> None:
    """Evolve on the environment ID.

    Ctrl-C, or a kill, leaves a run that --resume goes on with, to the same genome to the last bit.
    """
    from tropism.errors import OptionError

    base = None
    if resume and out is not None and (out / "config.json").exists():
        from tropism_evosax.records import read_run

        base = read_run(out)
        env_id = env_id or base.env_id
    if env_id is None:
        raise OptionError(
            "name an environment, tropism/Chemotaxis-L0.2-v0 say, or --resume a run with --out"
        )
    config = make_config(env_id, given, base)
    folder = out or Path("runs") / f"evo-{env_id.rpartition('/')[2]}-{config.seed}"
    _, [evolved] = run(config, [config.seed], [folder], resume=resume, devices=devices)
    click.echo(f"{folder}: {described(evolved)}. Next: tropism evo evaluate {folder}")
