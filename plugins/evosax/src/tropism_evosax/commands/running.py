"""What ``train`` and ``batch`` share: cores, run directories, and what is said at the end."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tropism_evosax.commands.bar import Bar

if TYPE_CHECKING:
    from tropism_evosax.config import EvoConfig
    from tropism_evosax.evolution import Evolution
    from tropism_evosax.evolve import Evolved

STOPPED = 130
"""Exit status of a run that Ctrl-C stopped, 128 + SIGINT."""
MOST_CORES = 8


def use_cores(wanted: int | None) -> None:
    """Show JAX ``wanted`` devices on the CPU, by default one a core; nothing happens once JAX has begun."""
    import jax

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    if "xla_force_host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
        try:
            jax.config.update("jax_num_cpu_devices", wanted or min(cores or 1, MOST_CORES))
        except RuntimeError:
            return


def run(
    config: EvoConfig,
    seeds: Sequence[int],
    folders: Sequence[Path],
    *,
    resume: bool,
    devices: int | None,
) -> tuple[Evolution, list[Evolved]]:
    """Evolve all seeds, each in its folder.

    Raises:
        click.exceptions.Exit: if Ctrl-C stopped it; what is there can be resumed.
        ArtifactError: if a folder holds another run, or this one and ``resume`` is false.
    """
    use_cores(devices)
    from dataclasses import replace

    from tropism.agents.runs import Run
    from tropism_evosax.evolve import evolve, prepared

    evolution = prepared(config)
    with ExitStack() as stack:
        runs = [
            stack.enter_context(Run(folder, replace(config, seed=seed).to_json(), resume=resume))
            for seed, folder in zip(seeds, folders, strict=True)
        ]
        bar = stack.enter_context(Bar(seeds, config.generations).shown())
        evolved = evolve(config, seeds, runs, bar, evolution)
    if any(one.generations < config.generations for one in evolved):
        done = ", ".join(str(one.generations) for one in evolved)
        click.echo(
            f"Stopped after {done} of {config.generations} generations; the same command with --resume goes on.",
            err=True,
        )
        raise click.exceptions.Exit(STOPPED)
    return evolution, evolved


def described(evolved: Evolved) -> str:
    """One line about a finished run."""
    last: dict[str, Any] = evolved.rows[-1]
    score = f"best {evolved.best_score:.2f}"
    if evolved.config.finalists:
        score += f" ± {evolved.best_error:.2f} on {evolved.config.finalist_episodes} fresh episodes"
    return (
        f"{evolved.generations} generations, {evolved.simulated_steps / 1e6:.2f} M steps: {score} (of generation "
        f"{evolved.best_generation}), last generation {last['fitness_mean']:.2f} on average"
    )
