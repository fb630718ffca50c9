"""Reading a finished run: config and genome, or one line about what is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tropism.errors import ArtifactError, OptionError, UnknownNameError
from tropism_evosax.config import EvoConfig

GENOMES = {"best": "best_genome.npz", "mean": "mean_genome.npz"}
"""Files of a run's genomes; the names are those of :mod:`tropism_evosax.store`."""


def read_run(directory: Path) -> EvoConfig:
    """The config of the run in ``directory``.

    Raises:
        ArtifactError: if it is no run of ``tropism evo train``, or damaged.
    """
    from tropism_evosax.store import read_config

    if not directory.is_dir():
        raise ArtifactError(f"{directory} is no run directory; see `tropism evo train`")
    try:
        return read_config(directory)
    except (OptionError, UnknownNameError) as error:
        raise ArtifactError(
            f"{directory / 'config.json'} is none of `tropism evo train`: {error}"
        ) from error


def read_champion(
    directory: Path, spec: dict[str, Any], which: str = "best"
) -> npt.NDArray[np.float32]:
    """A genome of a finished run.

    Args:
        directory: of the run.
        spec: of the encoding that its config describes.
        which: a key of :data:`GENOMES`.

    Raises:
        ArtifactError: if the run is not finished, or the genome damaged or of another network.
        UnknownNameError: for another ``which``.
    """
    from tropism_evosax.genomes.files import read_genome

    if which not in GENOMES:
        raise UnknownNameError("genome", which, GENOMES)
    path = directory / GENOMES[which]
    if not path.exists():
        raise ArtifactError(
            f"{path} is missing: the run did not finish; go on with "
            f"`tropism evo train --resume --out {directory}`"
        )
    return read_genome(path, spec)[0]
