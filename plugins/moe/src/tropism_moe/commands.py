"""``tropism moe``: budgets of models, packed stores, and what they hold.

Nothing heavy is imported before a command runs: the hook module loads this module whenever somebody asks for help.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from tropism.errors import UnknownNameError
from tropism_moe.commands_bench import bench
from tropism_moe.commands_train import report, train

HELP = {"help_option_names": ["-h", "--help"]}


class Group(click.Group):
    """Suggests the nearest command for an unknown one."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that is asked for."""
        if not args[0].startswith("-") and args[0] not in self.commands:
            raise UnknownNameError("command of `tropism moe`", args[0], self.commands)
        return super().resolve_command(ctx, args)


@click.group(cls=Group, context_settings=HELP)
def moe() -> None:
    """Train, count, pack, inspect, verify and measure models of experts (needs the plugin tropism-moe)."""


for command in (train, report, bench):
    moe.add_command(command)


@moe.command()
@click.argument("name", metavar="[PRESET]", required=False)
@click.option("--json", "plain", is_flag=True, help="Numbers for programs.")
def budget(name: str | None, plain: bool) -> None:
    """Parameters and bytes of PRESET, or of all presets: exact, from the shapes that build the models."""
    from tropism_moe.budget import memory_budget, parameter_budget
    from tropism_moe.config import PRESETS, preset

    chosen = {name: preset(name)} if name else PRESETS
    found: dict[str, Any] = {
        key: {**parameter_budget(one)._asdict(), **memory_budget(one)._asdict()}
        for key, one in chosen.items()
    }
    if plain:
        click.echo(json.dumps(found, indent=1))
        return
    click.echo(_table(found))


@moe.command()
@click.argument("name", metavar="PRESET")
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--seed", default=0, show_default=True, help="Of the random weights.")
@click.option("--form", default="base3", show_default=True, help="Of the experts: base3 or 2bit.")
def pack(name: str, directory: Path, seed: int, form: str) -> None:
    """Write a model of PRESET with random weights into DIRECTORY, slab by slab, to be measured.

    Trained models are packed by `tropism moe train`.
    """
    from tropism.agents.progress import progress
    from tropism_moe.config import preset
    from tropism_moe.pack import pack_random

    config = preset(name)
    slabs = config.experts * len(config.expert_layers)
    with progress(slabs, f"pack {name}") as update:
        pack_random(config, directory, seed, update, form)
    click.echo(f"{directory}: {slabs} slabs written")


@moe.command()
@click.argument("directory", type=click.Path(path_type=Path))
def inspect(directory: Path) -> None:
    """What a packed model in DIRECTORY holds."""
    from tropism_moe.expert_store import ExpertStore
    from tropism_moe.pack import STORE, read_shared

    config, arrays = read_shared(directory)
    with ExpertStore.open(directory / STORE) as store:
        lengths = [slab.length for slab in store.slabs.values()]
    for key, value in config.to_json().items():
        click.echo(f"{key:12} {value}")
    shared = sum(array.nbytes for array in arrays.values())
    click.echo(f"{'slabs':12} {len(lengths):,} of {min(lengths):,} to {max(lengths):,} bytes")
    click.echo(f"{'shared':12} {len(arrays):,} arrays, {shared:,} bytes")


@moe.command()
@click.argument("directory", type=click.Path(path_type=Path))
def verify(directory: Path) -> None:
    """Read every slab of the model in DIRECTORY and compare its checksum."""
    from tropism.agents.progress import progress
    from tropism_moe.expert_store import verify as check
    from tropism_moe.pack import STORE, read_shared

    read_shared(directory)
    with progress(1, f"verify {directory}") as update:
        report = check(directory / STORE, lambda done, total: update(done / total))
    for error in report.damaged:
        click.echo(str(error), err=True)
    click.echo(f"{report.slabs} slabs, {report.nbytes:,} bytes, {len(report.damaged)} damaged")
    if not report.sound:
        raise SystemExit(1)


def _table(found: dict[str, dict[str, int]]) -> str:
    """One column a preset."""
    rows = list(next(iter(found.values())))
    width = max(len(f"{x:,}") for one in found.values() for x in one.values()) + 2
    head = f"{'':18}" + "".join(f"{name:>{width}}" for name in found)
    body = [
        f"{row:18}" + "".join(f"{one[row]:>{width},}" for one in found.values()) for row in rows
    ]
    return "\n".join([head, *body])
