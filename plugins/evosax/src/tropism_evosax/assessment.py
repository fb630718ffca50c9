"""What becomes of a population: viability, rungs, full lives, and what the strategy is told of it all."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from tropism_evosax.blocks import evaluate_some
from tropism_evosax.config import EvoConfig
from tropism_evosax.devices import shared
from tropism_evosax.evaluation import make_evaluator
from tropism_evosax.face import Face, keys_of_seeds
from tropism_evosax.novelty import Archive, describe, novelty
from tropism_evosax.rungs import promote
from tropism_evosax.shaping import place_pruned
from tropism_evosax.tally import Lives
from tropism_evosax.viability import viable

FULL = 1_000_000
"""Number of the full evaluation, past all rungs: what its episodes are drawn with."""


class Assessment(NamedTuple):
    """One population, assessed.

    Attributes:
        lives: of the full evaluation, ``[P, E]``; zeros where a genome did not get that far.
        fitness: float32[P], of those that did; the pruned are placed behind them.
        failed: bool[P], not viable.
        full: bool[P], evaluated in full.
        stage: int8[P], where a genome ended: 0 at the viability filter, k at rung k, else past all of them.
        proxy: float32[P], mean fitness in the stage where it ended.
        lived: steps lived, over all stages; int32.
        simulated: steps computed, masked ones included; int32.
    """

    lives: Lives
    fitness: jax.Array
    failed: jax.Array
    full: jax.Array
    stage: jax.Array
    proxy: jax.Array
    lived: jax.Array
    simulated: jax.Array


class Assessor:
    """Assesses populations as a config says.

    Args:
        config: of the evolution.
        face: the environment.
        encoding: of the genomes.
        devices: how many share the work.
    """

    def __init__(self, config: EvoConfig, face: Face, encoding: Any, devices: int) -> None:
        self._config, self._devices = config, devices
        self._novelty = config.novelty
        self._full = make_evaluator(face, encoding, steps=config.steps)
        look = config.viability
        self._look = make_evaluator(face, encoding, steps=look.steps) if look else None
        self._rungs = [make_evaluator(face, encoding, steps=rung.steps) for rung in config.rungs]
        self._num_actions = face.num_actions

    def __call__(self, key: jax.Array, genomes: jax.Array, archive: Archive) -> Assessment:
        """Assess ``genomes``, float32[P, num_params], on the episodes that ``key`` draws."""
        population = genomes.shape[0]
        running = jnp.ones(population, bool)
        stages: list[tuple[jax.Array, jax.Array]] = []  # (who ended here, score here)
        lived = simulated = jnp.int32(0)

        def live(
            number: int, evaluate: Callable[..., Lives], episodes: int, wanted: jax.Array | None
        ) -> Lives:
            nonlocal lived, simulated
            keys = self.episodes(jax.random.fold_in(key, number), episodes, population)
            lives = self._live(evaluate, genomes, keys, wanted)
            lived, simulated = lived + jnp.sum(lives.steps), simulated + jnp.sum(lives.simulated)
            return lives

        if self._look is not None and self._config.viability is not None:
            lives = live(0, self._look, self._config.viability.episodes, None)
            running = viable(lives, self._config.viability)
            stages.append((~running, _score(lives)))
        failed = ~running
        for number, (rung, evaluate) in enumerate(
            zip(self._config.rungs, self._rungs, strict=True), start=1
        ):
            lives = live(number, evaluate, rung.episodes, running)
            before, running = running, self._promote(number, lives, running, archive)
            stages.append((before & ~running, _score(lives)))
        lives = live(FULL, self._full, self._config.episodes, running if stages else None)
        return self._gather(lives, running, failed, stages, lived, simulated)

    def episodes(self, key: jax.Array, count: int, population: int) -> jax.Array:
        """Keys of ``count`` episodes: uint32[E, 2], or uint32[P, E, 2] where each genome has its own."""
        shape = (count,) if self._config.common_episodes else (population, count)
        return keys_of_seeds(jax.random.randint(key, shape, *self._config.train_seeds))

    def finalists(self, key: jax.Array, genomes: jax.Array) -> Lives:
        """Full lives ``[C, finalist_episodes]`` of candidates on fresh episodes common to all."""
        count = self._config.finalist_episodes
        keys = keys_of_seeds(jax.random.randint(key, (count,), *self._config.train_seeds))
        spare = -genomes.shape[0] % self._devices
        padded = jnp.pad(genomes, ((0, spare), (0, 0)), mode="edge")
        lives = shared(lambda mine: self._full(mine, keys), self._devices)(padded)
        return jax.tree.map(lambda field: field[: genomes.shape[0]], lives)

    def _live(
        self, evaluate: Any, genomes: jax.Array, keys: jax.Array, wanted: jax.Array | None
    ) -> Lives:
        if wanted is not None:
            return evaluate_some(evaluate, genomes, keys, wanted, self._devices)
        if keys.ndim == 3:
            return shared(evaluate, self._devices)(genomes, keys)
        return shared(lambda mine: evaluate(mine, keys), self._devices)(genomes)

    def _promote(
        self, number: int, lives: Lives, running: jax.Array, archive: Archive
    ) -> jax.Array:
        places = self._config.population
        for rung in self._config.rungs[:number]:
            places = max(1, math.ceil(rung.keep * places))
        quota = self._novelty.quota if self._novelty else 0.0
        novel = jnp.zeros_like(running, jnp.float32)
        if quota and self._novelty is not None:
            behaviours = describe(lives, self._num_actions)
            novel = novelty(archive, behaviours, self._novelty.neighbours)
        return promote(_score(lives), running, novel, places, round(quota * places))

    def _gather(
        self,
        lives: Lives,
        full: jax.Array,
        failed: jax.Array,
        stages: list[tuple[jax.Array, jax.Array]],
        lived: jax.Array,
        simulated: jax.Array,
    ) -> Assessment:
        proxy = fitness = _score(lives)
        stage = jnp.full(full.shape, len(stages), jnp.int8)
        rest = ~full  # whoever has no place yet
        for number, (ended, score) in reversed(list(enumerate(stages))):
            stage, proxy = jnp.where(ended, number, stage), jnp.where(ended, score, proxy)
            rest = rest & ~ended
            if number or self._look is None:
                fitness = place_pruned(fitness, score, ended, rest)
        if self._look is None:
            stage = stage + 1  # rungs count from 1
        return Assessment(lives, fitness, failed, full, stage, proxy, lived, simulated)


def _score(lives: Lives) -> jax.Array:
    """Mean fitness over episodes, NaN where a number overflowed."""
    return jnp.where(lives.finite.all(axis=1), lives.fitness.mean(axis=1), jnp.nan)
