"""From a config to genomes, and to run directories if they are wanted.

::

    from tropism_evosax.config import preset
    from tropism_evosax.evolve import evolve

    [result] = evolve(preset("tropism", env_id="tropism/Chemotaxis-L0.2-v0"), seeds=[0])
    result.best_score, result.best          # float, float32[D]
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tropism.agents.runs import Run
from tropism.errors import OptionError
from tropism_evosax.config import EvoConfig
from tropism_evosax.evolution import Evolution, Row
from tropism_evosax.generation import State
from tropism_evosax.store import RunStore

Progress = Callable[[int, list[Row]], bool | None]
"""``progress(seed, rows)`` hears of every chunk; true ends the run of that seed, which can be resumed."""


@dataclass(frozen=True)
class Evolved:
    """What came of one seed.

    Attributes:
        seed: of the run.
        config: with that seed.
        best: float32[D], the champion: best of the finalists on fresh episodes.
        best_score: its mean fitness there.
        best_error: standard error of ``best_score``.
        best_generation: in which it was crowned first.
        mean: float32[D], the strategy's mean at the end.
        rows: one a generation.
        generations: done so far; fewer than the config's if the run was stopped.
        env_steps: steps lived, crowning included.
        simulated_steps: steps computed, masked ones included.
    """

    seed: int
    config: EvoConfig
    best: npt.NDArray[np.float32]
    best_score: float
    best_error: float
    best_generation: int
    mean: npt.NDArray[np.float32]
    rows: list[Row]
    generations: int
    env_steps: int
    simulated_steps: int


def evolve(
    config: EvoConfig,
    seeds: Sequence[int] | None = None,
    run_dirs: Sequence[Path | str | Run] | None = None,
    progress: Progress | None = None,
    evolution: Evolution | None = None,
) -> list[Evolved]:
    """Evolve, one seed after the other, in one compiled program.

    Args:
        config: what to do.
        seeds: the config's own by default.
        run_dirs: one for each seed, to be created or resumed; ``None`` leaves nothing on disk.
        progress: hears of every chunk.
        evolution: of ``config``; by default the one of the last call with it, so that nothing compiles twice.

    Raises:
        ArtifactError: if a run directory is damaged or holds another configuration.
        OptionError: if there are not as many directories as seeds.
    """
    seeds = [config.seed] if seeds is None else list(seeds)
    if run_dirs is not None and len(run_dirs) != len(seeds):
        raise OptionError(
            f"run_dirs must name one directory a seed, got {len(run_dirs)} for {len(seeds)}"
        )
    evolution = evolution or prepared(config)
    places = [None] * len(seeds) if run_dirs is None else run_dirs
    return [
        _evolve_one(evolution, replace(config, seed=seed), place, progress)
        for seed, place in zip(seeds, places, strict=True)
    ]


def prepared(config: EvoConfig) -> Evolution:
    """The evolution of ``config``, whatever its seed, with what it has compiled before in this process."""
    return _prepared(json.dumps(config.to_json() | {"seed": 0}))


@lru_cache(maxsize=4)
def _prepared(config: str) -> Evolution:
    return Evolution(EvoConfig.from_json(json.loads(config)))


def _evolve_one(
    evolution: Evolution,
    config: EvoConfig,
    place: Path | str | Run | None,
    progress: Progress | None,
) -> Evolved:
    if place is None:
        return _run(evolution, config, None, progress)
    if isinstance(place, Run):
        return _run(evolution, config, RunStore(place, config), progress)
    with Run(place, config.to_json()) as run:
        return _run(evolution, config, RunStore(run, config), progress)


def _run(
    evolution: Evolution, config: EvoConfig, store: RunStore | None, progress: Progress | None
) -> Evolved:
    """From the start, or the latest checkpoint, to the end or until ``progress`` says stop."""
    state, rows = evolution.start(config.seed), []
    if store is not None:
        state, rows = store.restore(state)
    stop = False
    while (done := int(state.generation)) < config.generations and not stop:
        mark = min(
            config.generations, (done // config.checkpoint_every + 1) * config.checkpoint_every
        )
        state, new = evolution.advance(state, mark - done)
        rows += new
        stop = bool(progress(config.seed, new)) if progress else False
        if store is not None:
            store.log(new)
            if int(state.generation) == mark or stop:
                store.checkpoint(state)
    evolved = _evolved(evolution, config, state, rows)
    if store is not None and evolved.generations == config.generations:
        store.finish(evolved, evolution.encoding.spec())
    return evolved


def _evolved(evolution: Evolution, config: EvoConfig, state: State, rows: list[Row]) -> Evolved:
    champion, born = state.champion, np.asarray(state.born)

    def total(name: str) -> int:
        return sum(int(row[name]) + int(row[f"crown_{name}"]) for row in rows)

    return Evolved(
        seed=config.seed,
        config=config,
        best=np.asarray(champion.genome),
        best_score=float(champion.score),
        best_error=float(champion.error),
        best_generation=int(champion.generation),
        mean=evolution.mean(state),
        rows=rows,
        generations=int(state.generation),
        env_steps=total("lived") + int(born[0]),
        simulated_steps=total("simulated") + int(born[1]),
    )
