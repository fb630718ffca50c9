"""``tropism moe bench``: what a model costs on this machine, mode by mode; nothing heavy is imported before it runs."""

from __future__ import annotations

import json
import tempfile
from contextlib import ExitStack
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tropism.limits import check_number

if TYPE_CHECKING:
    from tropism_moe.bench import Measured
    from tropism_moe.config import ModelConfig

PRESET = "demo-0.8b"
COLUMNS = ("mode", "steps/s", "per core", "p50 ms", "p99 ms", "open s", "grown MB", "anonymous", "read MB", "hits", "stalled")  # fmt: skip


@click.command()
@click.argument("directory", type=click.Path(path_type=Path), required=False)
@click.option("--preset", default=PRESET, show_default=True, help="Random model, without DIRECTORY.")  # fmt: skip
@click.option("--budget-mb", type=float, help="For slabs in memory, in 10⁶ bytes; by default a quarter, at most 128.")  # fmt: skip
@click.option("--lanes", default=1, show_default=True, help="That act together.")
@click.option("--steps", default=200, show_default=True, help="Of each lane.")
@click.option("--seed", default=0, show_default=True, help="Of what they are shown.")
@click.option("--json", "plain", is_flag=True, help="Numbers for programs.")
def bench(
    directory: Path | None, preset: str, budget_mb: float | None, lanes: int, steps: int, seed: int, plain: bool
) -> None:  # fmt: skip
    """Measure the packed model in DIRECTORY on this machine: speed, memory and reads of each residency mode.

    Without DIRECTORY a random model of the preset is written to a temporary directory.  Each mode runs in a process of its own, cold,
    and is shown the same random inputs; all must answer with the same bits.  Speeds leave out the first tenth of the steps.
    """
    from tropism.agents.progress import progress
    from tropism_moe.bench import compare, default_budget, same_bits
    from tropism_moe.pack import read_shared

    with ExitStack() as stack:
        if directory is None:
            directory = Path(
                stack.enter_context(tempfile.TemporaryDirectory(prefix="tropism-moe-"))
            )
            _pack(preset, directory)
        config, _ = read_shared(directory)
        budget = default_budget(config) if budget_mb is None else _bytes(budget_mb)
        update = stack.enter_context(progress(3, "measure"))
        found = compare(directory, budget, lanes, steps, seed, update)
    same = same_bits(found)
    if plain:
        rows = {mode: one._asdict() for mode, one in found.items()}
        click.echo(json.dumps({"budget_bytes": budget, "same_bits": same, "modes": rows}, indent=1))
    else:
        click.echo(_told(config, budget, found))
        click.echo("All modes gave the same bits." if same else "The modes gave DIFFERENT bits.")
    if not same:
        raise SystemExit(1)


def _pack(preset: str, directory: Path) -> None:
    """A random model."""
    from tropism.agents.progress import progress
    from tropism_moe.config import preset as find
    from tropism_moe.pack import pack_random

    config = find(preset)
    with progress(config.experts * len(config.expert_layers), f"pack {preset}") as update:
        pack_random(config, directory, 0, update)


def _bytes(megabytes: float) -> int:
    check_number("--budget-mb", megabytes, 0.001, inf)
    return int(megabytes * 1e6)


def _told(config: ModelConfig, budget: int, found: dict[str, Measured]) -> str:
    """A table, one row a mode."""
    from tropism_moe.budget import memory_budget, parameter_budget

    total, sizes = parameter_budget(config).total, memory_budget(config)
    head = (
        f"{total:,} parameters, {sizes.store / 1e6:,.1f} MB on disk, {sizes.experts_in_memory / 1e6:,.1f} MB in memory; "
        f"budget of mmap and ring {budget / 1e6:,.1f} MB"
    )
    rows = [COLUMNS, *(_row(mode, one) for mode, one in found.items())]
    table = ["".join(f"{cell:>11}" for cell in row) for row in rows]
    return "\n".join([head, *table])


def _row(mode: str, one: Measured) -> tuple[str, ...]:
    grown = [f"{one.grown[k] / 1e6:,.1f}" if k in one.grown else "?" for k in ("VmRSS", "RssAnon")]
    return (
        mode, f"{one.steps_per_s:,.0f}", f"{one.steps_per_core_s:,.0f}", f"{one.p50_ms:.2f}", f"{one.p99_ms:.2f}", f"{one.open_s:.2f}", *grown,
        f"{one.read_bytes / 1e6:,.1f}", f"{one.hit_share:.1%}", f"{one.stall_share:.1%}",
    )  # fmt: skip
