"""What an evolution leaves in its run directory, besides what every run has.

::

    config.json          the config, seed included        (tropism.agents.runs.Run)
    manifest.json        versions, sources, machine        (the same)
    generations.jsonl    one row a generation
    pruned.jsonl         one row a generation: which genomes ended at which stage, and their scores there
                         (with a viability filter or rungs only)
    checkpoints/         sealed directories with state.npz (the same)
    best_genome.npz      the champion                      (at the end)
    mean_genome.npz      the strategy's mean               (at the end)
    result.json          scores and counts                 (at the end)

Arrays are plain npz, never pickled objects.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
import numpy.typing as npt

from tropism.agents.arrays import load_arrays, save_arrays
from tropism.agents.artifacts import read_json, write_atomic
from tropism.agents.metric_rows import finite
from tropism.agents.runs import Run
from tropism.errors import ArtifactError
from tropism_evosax.config import EvoConfig
from tropism_evosax.genomes.files import write_genome

if TYPE_CHECKING:
    from tropism_evosax.evolve import Evolved
    from tropism_evosax.generation import State

GENERATIONS, PRUNED, RESULT = "generations.jsonl", "pruned.jsonl", "result.json"
BEST, MEAN = "best_genome.npz", "mean_genome.npz"


class RunStore:
    """The part of a run directory that evolution writes.

    Args:
        run: open.
        config: of the evolution, with its seed.
    """

    def __init__(self, run: Run, config: EvoConfig) -> None:
        self._run, self._config = run, config

    def log(self, rows: list[dict[str, Any]]) -> None:
        """Append rows of generations."""
        _append(self._path(GENERATIONS), [_numbers(row) for row in rows])
        if rows and "stage" in rows[0]:
            _append(self._path(PRUNED), [self._pruned(row) for row in rows])

    def checkpoint(self, state: State) -> None:
        """Write the state into a sealed directory, named after its generation."""
        with self._run.checkpoint_dir(int(state.generation)) as directory:
            save_arrays(directory / "state.npz", _pack(state))

    def restore(self, state: State) -> tuple[State, list[dict[str, Any]]]:
        """The state of the latest checkpoint, and the rows up to it; later ones are forgotten.

        Args:
            state: of the same shape; comes back if there is no checkpoint.

        Raises:
            ArtifactError: if checkpoint or rows are damaged, or of another shape.
        """
        latest = self._run.latest_checkpoint()
        if latest is not None:
            state = _unpack(latest / "state.npz", state)
        done = int(state.generation)
        for name in (GENERATIONS, PRUNED):
            _cut(self._path(name), done)
        rows = read_rows(self._run.directory)
        if len(rows) != done:
            raise ArtifactError(
                f"{self._path(GENERATIONS)} holds {len(rows)} generations, the checkpoint {done}; restore the "
                "file, or remove the run"
            )
        return state, rows

    def finish(self, evolved: Evolved, spec: dict[str, Any]) -> None:
        """Write genomes and result; a run that has them is complete."""
        write_genome(self._path(BEST), evolved.best, spec)
        write_genome(self._path(MEAN), evolved.mean, spec)
        names = ("seed", "best_score", "best_error", "best_generation", "generations", "env_steps")
        result = {name: getattr(evolved, name) for name in (*names, "simulated_steps")}
        result["mean_score"] = evolved.rows[-1]["mean_score"]
        write_atomic(
            self._path(RESULT), json.dumps({k: finite(v) for k, v in result.items()}, indent=1)
        )

    def _path(self, name: str) -> Path:
        return self._run.directory / name

    def _pruned(self, row: dict[str, Any]) -> dict[str, Any]:
        """Genomes by the stage where they ended, with their scores there."""
        stage, proxy = row["stage"], row["proxy"]
        names = {0: "viability"} | {i: f"rung {i}" for i in range(1, 1 + len(self._config.rungs))}
        ended = {
            name: [[int(i), finite(proxy[i])] for i in np.flatnonzero(stage == number)]
            for number, name in names.items()
        }
        return {"generation": row["generation"], **{k: v for k, v in ended.items() if v}}


def read_rows(directory: Path | str) -> list[dict[str, Any]]:
    """The rows of ``generations.jsonl``, oldest first; ``[]`` if there are none yet.

    Raises:
        ArtifactError: if a line is damaged, naming it.
    """
    return _read(Path(directory) / GENERATIONS)


def read_config(directory: Path | str) -> EvoConfig:
    """The config of a run.

    Raises:
        ArtifactError: if the directory is no run: config or manifest are missing or damaged.
    """
    directory = Path(directory)
    if not read_json(directory / "manifest.json").get("starts"):
        raise ArtifactError(f"{directory / 'manifest.json'} lists no starts; restore it")
    return EvoConfig.from_json(read_json(directory / "config.json"))


def _pack(state: Any) -> dict[str, npt.NDArray[Any]]:
    leaves = jax.tree_util.tree_leaves_with_path(state)
    return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}


def _unpack(path: Path, like: Any) -> Any:
    """The state in ``path``, in the shape of ``like``."""
    arrays = load_arrays(path)

    def fill(where: Any, leaf: Any) -> Any:
        found = arrays.get(jax.tree_util.keystr(where))
        if found is None or found.shape != leaf.shape or found.dtype != leaf.dtype:
            raise ArtifactError(
                f"{path} does not fit this version: {jax.tree_util.keystr(where)} should be "
                f"{leaf.dtype}{list(leaf.shape)}; install the version that wrote it"
            )
        return jax.numpy.asarray(found)

    return jax.tree_util.tree_map_with_path(fill, like)


def _numbers(row: dict[str, Any]) -> dict[str, Any]:
    """The scalars of a row; not-a-number and infinity become ``null``."""
    return {name: finite(value) for name, value in row.items() if np.ndim(value) == 0}


def _append(path: Path, rows: list[dict[str, Any]]) -> None:
    with path.open("ab") as file:
        file.write("".join(json.dumps(row) + "\n" for row in rows).encode())


def _cut(path: Path, generations: int) -> None:
    """Forget rows from ``generations`` on, and a line torn by a kill."""
    if not path.exists():
        return
    content = path.read_bytes()
    lines = content[: content.rfind(b"\n") + 1].splitlines(keepends=True)
    whole = b"".join(lines[:generations])
    if whole != content:
        write_atomic(path, whole)


def _read(path: Path) -> list[dict[str, Any]]:
    rows = []
    for number, line in enumerate(path.read_bytes().splitlines() if path.exists() else (), start=1):
        try:
            rows.append(json.loads(line))
        except ValueError as error:
            raise ArtifactError(f"{path}: line {number} is damaged; restore the file") from error
    return rows
