"""What an evolution can cost at most, in environment steps computed: what a budget is measured by.

Steps after the end of a life count, because they are computed, and so does everything besides full evaluation: the
viability filter, the rungs, the finalists that live again, the first population of strategies that begin with one.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import replace

from tropism_evosax.blocks import BLOCKS
from tropism_evosax.config import EvoConfig
from tropism_evosax.evaluation import CHUNK
from tropism_evosax.registry import find


def most_steps(config: EvoConfig, life: int, devices: int = 1) -> int:
    """Steps that a whole run can compute at most.

    Args:
        config: of the run.
        life: steps of a life in the environment.
        devices: that share the population.
    """
    total = _generation(config, life, devices) * (
        config.generations + find(config.strategy).by_population
    )
    if config.finalists:
        crownings = -(-config.generations // config.crown_every)
        lives = (config.finalists + 2) * config.finalist_episodes
        total += crownings * lives * _computed(config.steps, life)
    return total


def affordable(config: EvoConfig, life: int, devices: int, steps: int) -> int:
    """Most generations that cost at most ``steps``; 0 if not one can be afforded."""

    def cost(generations: int) -> int:
        return most_steps(replace(config, generations=generations), life, devices)

    ceiling = steps // _generation(config, life, devices)
    return bisect_right(range(1, ceiling + 1), steps, key=cost)


def _generation(config: EvoConfig, life: int, devices: int) -> int:
    """Steps of all stages of one generation, if everybody is viable."""
    total, there = 0, config.population
    if look := config.viability:
        total += there * look.episodes * _computed(look.steps, life)
    places = there
    for rung in config.rungs:
        total += there * rung.episodes * _computed(rung.steps, life)
        places = max(1, math.ceil(rung.keep * places))
        there = _in_blocks(places, config.population, devices)
    return total + there * config.episodes * _computed(config.steps, life)


def _computed(horizon: int | None, life: int) -> int:
    """Steps computed for one life: whole chunks."""
    steps = min(horizon or life, life)
    chunk = min(CHUNK, steps)
    return -(-steps // chunk) * chunk


def _in_blocks(places: int, population: int, devices: int) -> int:
    """Genomes that live where ``places`` are wanted; see :mod:`tropism_evosax.blocks`."""
    size = population // devices
    block = -(-size // BLOCKS)
    wanted = -(-places // devices)
    return min(size, -(-wanted // block) * block) * devices
