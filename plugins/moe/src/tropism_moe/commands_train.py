"""``tropism moe train`` and ``report``: learn through all stages in one command, and say what each came to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click


@click.command()
@click.argument("env_id", metavar="ID")
@click.option("--steps", default=1_000_000, show_default=True, help="Environment steps.")
@click.option("--seed", default=0, show_default=True, help="Of the agent.")
@click.option("--out", type=click.Path(path_type=Path), help="Run directory  [runs/moe-ENV-SEED].")
@click.option("--set", "options", multiple=True, metavar="KEY=VALUE", help="Option of the agent.")
@click.option("--env", "env_options", multiple=True, metavar="KEY=VALUE", help="Of the environment.")  # fmt: skip
@click.option("--episodes", default=8, show_default=True, help="To play for the report; 0: none.")
@click.pass_context
def train(ctx: click.Context, env_id: str, out: Path | None, episodes: int, **given: Any) -> None:
    """Train on the environment ID, through all stages, pack, calibrate and report.

    The same command resumes a run that was killed, whichever stage it was in, and ends with the same weights.
    """
    folder = out or Path("runs") / f"moe-{env_id.rpartition('/')[2]}-{given['seed']}"
    root = ctx.find_root().command
    core = root.get_command(ctx, "train") if isinstance(root, click.Group) else None
    if core is None:
        raise click.ClickException("`tropism moe train` is a command of `tropism`; run it there")
    ctx.invoke(core, agent="moe", env_id=env_id, out=folder, **given)
    if episodes:
        ctx.invoke(report, directory=folder, episodes=episodes)


@click.command()
@click.argument("directory", metavar="RUN", type=click.Path(path_type=Path))
@click.option("--episodes", default=8, show_default=True, help="Test episodes to play.")
def report(directory: Path, episodes: int) -> None:
    """What each stage of RUN came to: scores, bytes, use of the experts; and a picture of the losses.

    Writes RUN/report.json and RUN/curves.png (which needs matplotlib).
    """
    from gymnasium.error import DependencyNotInstalled

    from tropism.agents.artifacts import write_atomic
    from tropism.agents.progress import progress
    from tropism_moe.curves import draw_curves
    from tropism_moe.report import assess, read_run, table

    task, config, policy = read_run(directory)
    with progress(6, f"report {directory}") as update:
        rows = assess(directory, task, config, policy, episodes, update)
    told = {"episodes": episodes, "rows": [row.to_json() for row in rows]}
    write_atomic(directory / "report.json", json.dumps(told, indent=1) + "\n")
    click.echo(table(rows))
    try:
        click.echo(f"{draw_curves(directory, directory / 'curves.png')} written")
    except DependencyNotInstalled as error:
        click.echo(f"no picture: {error}", err=True)
