"""``tropism evo replay``: run an evolution again, or look at the life it came to."""

from __future__ import annotations

from pathlib import Path

import click

from tropism_evosax.commands.bar import Bar
from tropism_evosax.commands.options import DIRECTORY
from tropism_evosax.commands.running import STOPPED, use_cores


@click.command()
@click.argument("directory", metavar="RUN", type=DIRECTORY)
@click.option(
    "--render",
    "pictures",
    multiple=True,
    type=DIRECTORY,
    metavar="FILE",
    help="Write a life of the best genome instead: *.png the whole way, *.gif a film.",
)
@click.option("--episode", default=0, show_default=True, help="Which held-out episode is drawn.")
@click.option(
    "--devices", type=int, help="Devices that share the population  [one a core, at most 8]."
)
def replay(directory: Path, pictures: tuple[Path, ...], episode: int, devices: int | None) -> None:
    """Run RUN again, or draw a life of its genome.

    What the manifest records is run anew, and its genomes have to come out the same to the last bit.
    With --render, nothing is evolved: the best genome lives a held-out episode and is drawn.
    """
    from tropism_evosax.records import read_run

    config = read_run(directory)
    if pictures:
        use_cores(1)
        from tropism_evosax.pictures import draw_champion

        for path in pictures:
            click.echo(f"{path} written: {draw_champion(directory, config, episode, path)}")
        return
    _reproduce(directory, devices)


def _reproduce(directory: Path, devices: int | None) -> None:
    """Evolve again and compare.

    Raises:
        click.exceptions.Exit: with status 1 if the genomes differ.
    """
    use_cores(devices)
    from tropism_evosax.records import read_run
    from tropism_evosax.reproduce import reproduce

    config = read_run(directory)
    with Bar([config.seed], config.generations).shown() as bar:
        again = reproduce(directory, bar)
    if bar.stopped:
        raise click.exceptions.Exit(STOPPED)
    for name, same in (("best", again.best), ("mean", again.mean)):
        click.echo(
            f"{directory / f'{name}_genome.npz'}: {'the same bits' if same else 'DIFFERENT'}"
        )
    if not (again.best and again.mean):
        _tell_changes(directory)
        raise click.exceptions.Exit(1)


def _tell_changes(directory: Path) -> None:
    """Say what is not as it was when the run was begun."""
    from tropism.agents.artifacts import read_json
    from tropism.agents.manifest import manifest

    then, now = read_json(directory / "manifest.json")["starts"][0], manifest()
    for name in ("python", "platform", "cpu", "versions", "source"):
        if then.get(name) != now[name]:
            click.echo(f"{name} then: {then.get(name)}\n{name} now:  {now[name]}", err=True)
