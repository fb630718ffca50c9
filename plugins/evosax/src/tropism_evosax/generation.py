"""One generation, as a pure function of its number and the state before it."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from tropism_evosax.assessment import Assessment, Assessor
from tropism_evosax.champion import Champion, challenge, crown, keep_luckiest, nobody
from tropism_evosax.config import EvoConfig
from tropism_evosax.novelty import Archive, describe, empty, novelty, remember
from tropism_evosax.shaping import blend_ranks
from tropism_evosax.strategies import Strategy

ASK, TELL, LIVE, CROWN, START = range(5)
"""What a key is folded with, after the generation: one stream a purpose."""


class State(NamedTuple):
    """Everything an evolution is, between two generations.

    Attributes:
        seed: uint32.
        generation: of the next one; int32.
        search: the strategy's own state.
        champion: the best genome and its challengers.
        archive: of behaviours (empty arrays without novelty).
        born: steps lived and computed before generation 0, by strategies that begin with a population; int32[2].
    """

    seed: jax.Array
    generation: jax.Array
    search: Any
    champion: Champion
    archive: Archive
    born: jax.Array


class Generation:
    """The pure functions of an evolution; to be jitted by the caller.

    Args:
        config: of the evolution.
        strategy: built for it.
        assessor: built for it.
        scales: float32[D], mutation scale of each gene.
        num_actions: of the environment.
        plastic: whether the controller learns, so that it is worth reporting.
    """

    def __init__(
        self,
        config: EvoConfig,
        strategy: Strategy,
        assessor: Assessor,
        scales: np.ndarray,
        *,
        num_actions: int,
        plastic: bool,
    ) -> None:
        self._config, self._strategy, self._assessor = config, strategy, assessor
        self._scales, self._num_actions, self._plastic = jnp.asarray(scales), num_actions, plastic

    def start(self, seed: jax.Array) -> State:
        """The state before generation 0 of ``seed``, uint32."""
        key = jax.random.fold_in(jax.random.key(seed), np.uint32(2**32 - 1))
        archive = empty(self._config.novelty.capacity if self._config.novelty else 0)
        born = jnp.zeros(2, jnp.int32)

        def evaluate(points: jax.Array) -> jax.Array:
            nonlocal born
            live = jax.random.fold_in(key, LIVE)
            assessed = self._assessor(live, points * self._scales, archive)
            born = jnp.stack([assessed.lived, assessed.simulated])
            return assessed.fitness

        search = self._strategy.start(jax.random.fold_in(key, START), evaluate)
        champion = nobody(self.centre(search), self._config.finalists)
        return State(jnp.uint32(seed), jnp.int32(0), search, champion, archive, born)

    def centre(self, search: Any) -> jax.Array:
        """The genome float32[D] that the strategy believes in."""
        return self._strategy.centre(search) * self._scales

    def __call__(self, state: State) -> tuple[State, dict[str, jax.Array]]:
        """The state after one more generation, and its row for the log."""
        now = state.generation
        key = jax.random.fold_in(jax.random.key(state.seed), now)
        ask, tell, live, finals = (jax.random.fold_in(key, p) for p in (ASK, TELL, LIVE, CROWN))
        points, search = self._strategy.ask(ask, state.search)
        genomes = points * self._scales
        assessed = self._assessor(live, genomes, state.archive)
        counts = assessed.full & jnp.isfinite(assessed.fitness)
        told, archive, row = self._blend(assessed, counts, state.archive)
        failed = assessed.failed | ~jnp.isfinite(assessed.fitness)
        search = self._strategy.tell(tell, points, told, failed, search)
        champion, crowned = self._crown(
            state.champion, search, genomes, assessed, counts, now, finals
        )
        row |= self._row(assessed, counts) | crowned
        return State(state.seed, now + 1, search, champion, archive, state.born), row

    def _blend(
        self, assessed: Assessment, counts: jax.Array, archive: Archive
    ) -> tuple[jax.Array, Archive, dict[str, jax.Array]]:
        """What the strategy is told, the archive after, and what to log."""
        settings = self._config.novelty
        if settings is None:
            return assessed.fitness, archive, {}
        behaviours = describe(assessed.lives, self._num_actions)
        novel = novelty(archive, behaviours, settings.neighbours)
        archive = remember(
            archive, behaviours, jnp.where(counts, novel, -jnp.inf), settings.additions
        )
        told = assessed.fitness
        if (
            settings.weight
        ):  # whoever was not evaluated in full is the least novel, and keeps its place
            score = jnp.where(jnp.isfinite(told), told, -jnp.inf)
            told = blend_ranks(score, jnp.where(counts, novel, -jnp.inf), settings.weight)
        return told, archive, {"novelty": _mean(novel, counts)}

    def _crown(
        self,
        champion: Champion,
        search: Any,
        genomes: jax.Array,
        assessed: Assessment,
        counts: jax.Array,
        now: jax.Array,
        key: jax.Array,
    ) -> tuple[Champion, dict[str, jax.Array]]:
        config, fitness = self._config, assessed.fitness
        nothing = {"best_score": jnp.float32(jnp.nan), "mean_score": jnp.float32(jnp.nan)}
        steps = {"crown_lived": jnp.int32(0), "crown_simulated": jnp.int32(0)}
        if not config.finalists:
            champion = keep_luckiest(champion, genomes, fitness, counts, now)
            return champion, nothing | {"best_score": champion.score} | steps
        champion = challenge(champion, genomes, fitness, counts)

        def compare(champion: Champion) -> tuple[Champion, dict[str, jax.Array]]:
            new, scores, lives = crown(
                champion,
                self.centre(search),
                now,
                lambda candidates: self._assessor.finalists(key, candidates),
            )
            taken = jnp.sum(lives.steps), jnp.sum(lives.simulated)
            return new, scores | dict(zip(steps, taken, strict=True))

        due = (now + 1) % config.crown_every == 0
        due |= now + 1 == config.generations
        return jax.lax.cond(due, compare, lambda champion: (champion, nothing | steps), champion)

    def _row(self, assessed: Assessment, counts: jax.Array) -> dict[str, jax.Array]:
        lives, fitness = assessed.lives, assessed.fitness
        mean = _mean(fitness, counts)
        row = {
            "fitness_mean": mean,
            "fitness_std": jnp.sqrt(_mean((fitness - mean) ** 2, counts)),
            "fitness_max": jnp.max(jnp.where(counts, fitness, -jnp.inf)),
            "viable": jnp.sum(~assessed.failed),
            "full": jnp.sum(assessed.full),
            "overflowed": jnp.sum(assessed.full & ~jnp.isfinite(fitness)),
            "lived": assessed.lived,
            "simulated": assessed.simulated,
        }
        names = [*_REPORTED, *(_LEARNING if self._plastic else ())]
        row |= {name: _mean(getattr(lives, name).mean(axis=1), counts) for name in names}
        if self._config.viability or self._config.rungs:
            row |= {"stage": assessed.stage, "proxy": assessed.proxy}
        return row


_REPORTED = (
    "steps",
    "energy_gained",
    "reached",
    "good_arrivals",
    "bad_arrivals",
    "integrity_min",
    "integrity_lost",
    "entropy",
    "dominant",
)
_LEARNING = ("change", "event_change", "event_share", "modulator")


def _mean(values: jax.Array, counts: jax.Array) -> jax.Array:
    """Mean over those that count."""
    total = jnp.sum(jnp.where(counts, values, 0.0))
    return total / jnp.maximum(1, jnp.sum(counts))
