"""Run an evolution again from what its directory says, and compare the genomes bit for bit."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tropism_evosax.evolve import Evolved, Progress, evolve
from tropism_evosax.genomes.files import read_genome
from tropism_evosax.store import BEST, MEAN, read_config


@dataclass(frozen=True)
class Reproduction:
    """What came of running again.

    Attributes:
        evolved: the new run.
        best: whether its champion has the recorded bits.
        mean: whether its mean has.
    """

    evolved: Evolved
    best: bool
    mean: bool


def reproduce(directory: Path | str, progress: Progress | None = None) -> Reproduction:
    """Run the evolution recorded in ``directory`` again, in memory.

    Args:
        directory: of a finished run.
        progress: see :data:`tropism_evosax.evolve.Progress`.

    Raises:
        ArtifactError: if manifest, config or genomes are missing or damaged.
    """
    directory = Path(directory)
    config = read_config(directory)
    best, _ = read_genome(directory / BEST)
    mean, _ = read_genome(directory / MEAN)
    [evolved] = evolve(config, progress=progress)
    return Reproduction(
        evolved, np.array_equal(best, evolved.best), np.array_equal(mean, evolved.mean)
    )
