"""koki2's evolution loop, restated in JAX: the named peer of ``bench_evolution.py``.

Prints its speed, and records nothing::

    .venv/bin/python benchmarks/origin_evolution.py

koki2 (K. Kis, 2025, https://github.com/Krisztiaan/koki2) evolves 32 leaky threshold units with plain OpenAI-ES;
whole generations run in one ``lax.scan``, lives are vmapped.  Restated with its choices, none made slower and none
improved: currents are scattered over 256 edges, dead lives pass through ``lax.cond``, every genome meets its own
episodes, and the best genome ever seen, by its own few noisy episodes, is the result.  What koki2 reports besides
fitness is computed (actions' entropy, contacts, change of the weights), as ours is; its viability filter is left
out, which favours it.

On two shared cores koki2 itself made .50 to .61 M environment steps a second, plastic .22 to .33 M.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from origin_network import NUM_PARAMS, network, unfold
from origin_world import HAZARD, Tally, World, live

SIGMA, LEARNING_RATE, INITIAL_STD = 0.1, 0.05, 0.1
POPULATION, EPISODES, GENERATIONS = 128, 8, 10
ROUNDS = 5


class Search(NamedTuple):
    """Mean of the search distribution, and the best genome so far with its fitness."""

    mean: Any
    best: Any
    best_fitness: Any


class Report(NamedTuple):
    """What koki2 tells about a genome, or about a generation."""

    fitness: Any
    alive: Any
    success: Any
    bad_arrivals: Any
    integrity_lost: Any
    integrity_min: Any
    entropy: Any
    dominant_share: Any
    change: Any
    event_change: Any
    event_share: Any
    modulator: Any


def report(lives: Tally) -> Report:
    """What a genome's lives were like, means over its episodes."""
    import jax.numpy as jnp

    share = lives.actions / lives.alive[:, None]
    entropy = -jnp.sum(jnp.where(share > 0, share * jnp.log(jnp.maximum(share, 1e-9)), 0.0), -1)
    values = (
        lives.fitness,
        lives.alive,
        lives.reached,
        lives.bad,
        lives.lost,
        lives.integrity_min,
        entropy,
        share.max(-1),
        lives.change / lives.alive,
        lives.event_change / jnp.maximum(lives.events, 1.0),
        lives.events / lives.alive,
        lives.modulator / lives.alive,
    )
    return Report(*(value.mean() for value in values))


def evaluate(world: World, plastic: str, genome: Any, keys: Any) -> Report:
    """Play one episode a key."""
    import jax

    newborn, act, learn = network(unfold(genome), plastic)
    return report(jax.vmap(lambda key: live(world, act, learn, newborn, key))(keys))


def generation(
    world: World, plastic: str, population: int, episodes: int, search: Search, key: Any
) -> tuple[Search, Report]:
    """Sample, evaluate each genome on episodes of its own, step along the centred ranks."""
    import jax
    import jax.numpy as jnp

    noise_key, life_key = jax.random.split(key)
    noise = jax.random.normal(noise_key, (population, NUM_PARAMS))
    genomes = search.mean + SIGMA * noise
    keys = jax.random.split(life_key, (population, episodes))
    told = jax.vmap(lambda genome, own: evaluate(world, plastic, genome, own))(genomes, keys)
    scores = told.fitness
    ranks = jnp.argsort(jnp.argsort(scores)) / (population - 1) - 0.5
    mean = search.mean + LEARNING_RATE / (population * SIGMA) * (ranks @ noise)
    top = jnp.argmax(scores)
    better = scores[top] > search.best_fitness
    best = jnp.where(better, genomes[top], search.best)
    record = jnp.maximum(scores[top], search.best_fitness)
    return Search(mean, best, record), jax.tree.map(jnp.mean, told)


def evolution(
    generations: int,
    population: int = POPULATION,
    episodes: int = EPISODES,
    steps: int = HAZARD.steps,
    plastic: bool | str = False,
    world: World = HAZARD,
) -> Callable[[Any], tuple[Search, Report]]:
    """The compiled search ``key -> (search, report of each generation)``.

    Args:
        generations: How many, all in one scan.
        population: Genomes a generation.
        episodes: Lives a genome.
        steps: Of a life.
        plastic: The modulator ``"spike"``, ``"drive"`` or ``"event"``; ``True`` is ``"event"``.
        world: Where they live.
    """
    import dataclasses

    import jax
    import jax.numpy as jnp

    modulator = plastic if isinstance(plastic, str) else "event" * plastic
    world = dataclasses.replace(world, steps=steps)

    def search(key: Any) -> tuple[Search, Any]:
        born, life = jax.random.split(key)
        mean = INITIAL_STD * jax.random.normal(born, (NUM_PARAMS,))
        start = Search(mean, mean, jnp.float32(-jnp.inf))
        return jax.lax.scan(
            lambda s, k: generation(world, modulator, population, episodes, s, k),
            start,
            jax.random.split(life, generations),
        )

    return jax.jit(search).lower(jax.random.key(0)).compile()


def origin_generations(
    generations: int,
    population: int = POPULATION,
    episodes: int = EPISODES,
    steps: int = HAZARD.steps,
    plastic: bool | str = False,
) -> Callable[[], None]:
    """What runs ``generations`` generations and returns when they are done; compiled already."""
    import jax

    search = evolution(generations, population, episodes, steps, plastic)
    key = jax.random.key(1)
    return lambda: jax.block_until_ready(search(key)) and None


def origin_evolve(seed: int, generations: int, **kwargs: Any) -> tuple[Any, Any]:
    """The best genome ever seen, float32[581], and the curve of mean fitness, float32[generations].

    Args:
        seed: Of everything but the topology.
        generations: How many.
        **kwargs: As :func:`evolution` takes them.
    """
    import jax
    import numpy as np

    search, told = evolution(generations, **kwargs)(jax.random.key(seed))
    return np.asarray(search.best), np.asarray(told.fitness)


def main() -> None:
    """Print generations and environment steps a second."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--generations", type=int, default=GENERATIONS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    args = parser.parse_args()
    work = POPULATION * EPISODES * HAZARD.steps
    for plastic in ("", "spike", "drive", "event"):
        run, rates = origin_generations(args.generations, plastic=plastic), []
        for _ in range(args.rounds):
            began = time.perf_counter()
            run()
            rates.append(args.generations / (time.perf_counter() - began))
        middle, best = statistics.median(rates), max(rates)
        print(
            f"{plastic or 'fixed':8s}{middle:7.2f} generations/s, {middle * work / 1e6:6.3f} M steps/s"
            f"   (best {best * work / 1e6:.3f} M)"
        )


if __name__ == "__main__":
    main()
