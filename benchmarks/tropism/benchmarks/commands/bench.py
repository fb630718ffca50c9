"""``tropism bench``: how fast environments step, beside named peers."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from tropism.benchmarks.throughput import Speed

DEFAULT = {"tropism/PatternWorld-Switch-v0": {"flat": True}}
"""What is measured if no id is given: flat observations, as the peer's are."""
RECORD = Path("benchmarks/results/throughput.json")


@click.command()
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option(
    "--env", "env_options", multiple=True, metavar="KEY=VALUE", help="Of the environments."
)
@click.option("--rounds", default=5, show_default=True, help="Turns of each contestant.")
@click.option("--record", is_flag=True, help=f"Write the figures to {RECORD} too.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def bench(
    ids: tuple[str, ...],
    env_options: tuple[str, ...],
    rounds: int,
    record: bool,
    as_json: bool,
) -> None:
    """Measure steps per second of IDs on every face they have, beside CartPole-v1 in the same run."""
    from importlib.util import find_spec

    from tropism.agents.progress import progress
    from tropism.benchmarks.commands.options import known_task, pairs
    from tropism.benchmarks.throughput import measure
    from tropism.errors import OptionError

    if rounds < 1:
        raise OptionError(f"rounds must be >= 1, got {rounds}")
    given = pairs(env_options, "--env")
    chosen: dict[str, Any] = dict.fromkeys(ids, given) if ids else dict(DEFAULT)
    for name, kwargs in chosen.items():
        known_task(name, kwargs)
    with progress(rounds * 4 * (len(chosen) + 1), "rounds") as update:
        speeds = measure(chosen, rounds, update)
    body = _about(rounds) | {"kwargs": chosen, "speeds": [speed.to_json() for speed in speeds]}
    click.echo(json.dumps(body, indent=1) if as_json else _table(speeds))
    if not find_spec("gymnax") and not as_json:
        click.echo("gymnax is not installed, so scans have no peer here (pip install gymnax).")
    if record:
        from tropism.agents.artifacts import write_atomic

        RECORD.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(RECORD, json.dumps(body, indent=1) + "\n")


def _table(speeds: list[Speed]) -> str:
    """The figures as aligned text."""
    lines = [f"{'face':<12} {'environment':<36} {'steps/s':>14} {'ratio':>7}  to"]
    for speed in speeds:
        ratio = f"{speed.ratio:7.2f}  {speed.peer}" if speed.ratio is not None else ""
        lines.append(
            f"{speed.face:<12} {speed.name:<36} {speed.steps_per_s:>14,.0f} {ratio}".rstrip()
        )
    return "\n".join(lines)


def _about(rounds: int) -> dict[str, Any]:
    """What the figures depend on."""
    from importlib.metadata import PackageNotFoundError, version

    from tropism.agents.manifest import manifest

    about = manifest()
    kept = ("utc", "python", "platform", "cpu", "cores", "versions")
    command = "tropism " + " ".join(about["command"][1:])
    found = {"command": command, "rounds": rounds, **{name: about[name] for name in kept}}
    with contextlib.suppress(PackageNotFoundError):
        found["versions"] = about["versions"] | {"gymnax": version("gymnax")}
    return found
