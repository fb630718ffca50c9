"""Measure the controllers of the evosax plugin alone: a generation of lives in a world that costs nothing.

Writes ``benchmarks/results/controllers.json``::

    .venv/bin/python benchmarks/bench_controllers.py

A generation is 128 genomes x 8 lives x 128 steps, 131,072 steps of a network with 4 inputs and 5 actions. The
peer of each ratio is the obvious way to write the spiking network, a scatter-add over edges, in the same run.
Everything runs on one core, which is what a share of the population has when it is spread over all. Contestants
take turns, so that a busy machine slows all alike; figures are medians of the rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from tropism.agents.artifacts import write_atomic
from tropism.agents.manifest import manifest
from tropism.agents.progress import progress

RESULTS = Path(__file__).parent / "results" / "controllers.json"
POPULATION, LIVES, STEPS = 128, 8, 128
ROUNDS = 7
STD = 0.4
"""Deviation of the genes: large enough for every network to fire."""


def scattering() -> type[Any]:
    """The spiking network on the origin's random graph, its edges added one by one."""
    import jax.numpy as jnp

    from tropism_evosax.networks.spiking import Spiking
    from tropism_evosax.networks.topology import random_targets

    class Scatter:
        def __init__(self, neurons: int, edges: int) -> None:
            self.size, self.targets = neurons * edges, random_targets(neurons, edges, 0)

        def arrange(self, genes: Any) -> Any:
            return genes.reshape(self.targets.shape)

        def transmit(self, weights: Any, spikes: Any) -> Any:
            values = (weights * spikes[:, None]).ravel()
            return jnp.zeros(len(self.targets)).at[self.targets.ravel()].add(values)

        def pair(self, pre: Any, post: Any) -> Any:
            return pre[:, None] * post[self.targets]

    @dataclass(frozen=True)
    class ScatterSpiking(Spiking):
        @cached_property
        def wiring(self) -> Any:
            return Scatter(self.neurons, self.edges)

    return ScatterSpiking


def contestants() -> dict[str, Any]:
    """Controllers by name."""
    from tropism_evosax.networks.plasticity import Plasticity
    from tropism_evosax.networks.registry import make_controller

    event, scatter = Plasticity("event"), scattering()
    found: dict[str, Any] = {
        "scatter": scatter(4, 5),
        "scatter, plastic": scatter(4, 5, plasticity=event),
    }
    for topology in ("random", "circulant", "lattice"):
        found[topology] = make_controller("spiking", 4, 5, topology=topology)
        found[f"{topology}, plastic"] = make_controller(
            "spiking", 4, 5, topology=topology, plasticity=event
        )
    return {**found, "mlp": make_controller("mlp", 4, 5), "gru": make_controller("gru", 4, 5)}


def generation(controller: Any) -> Any:
    """A compiled function from genomes and keys to a number for each life."""
    import jax
    import jax.numpy as jnp

    from tropism_evosax.networks.contract import Signals

    def life(weights: Any, key: Any) -> Any:
        def step(state: Any, _: Any) -> Any:
            memory, place, total = state
            x = place.astype(jnp.float32) / 97
            memory, action, _ = controller.act(
                weights, memory, jnp.stack([x, 1 - x, x * x, x + 0.1])
            )
            place = (place * 5 + action + 1) % 97
            memory, _ = controller.learn(weights, memory, Signals(x - 0.5, x - 0.5))
            return (memory, place, total + x), None

        begin = (controller.initial(weights, key), (key[0] % 97).astype(jnp.int32), 0.0)
        return jax.lax.scan(step, begin, None, length=STEPS)[0][-1]

    lives = jax.vmap(jax.vmap(life, (None, 0)))
    return jax.jit(lambda genomes, keys: lives(jax.vmap(controller.unflatten)(genomes), keys))


def main() -> None:
    """Measure, print and record."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    rounds = parser.parse_args().rounds
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    random = np.random.default_rng(0)
    keys = random.integers(0, 2**32, (POPULATION, LIVES, 2), dtype=np.uint32)
    runs, seconds = {}, {}
    for name, controller in contestants().items():
        genomes = random.normal(0, STD, (POPULATION, controller.num_params)).astype(np.float32)
        runs[name], seconds[name] = (generation(controller), genomes), []
        np.asarray(runs[name][0](genomes, keys))  # compile
    with progress(rounds, "generations") as update:
        for done in range(rounds):
            for name, (run, genomes) in runs.items():
                began = time.perf_counter()
                np.asarray(run(genomes, keys))
                seconds[name].append(time.perf_counter() - began)
            update(done + 1)
    record(seconds)


def record(seconds: dict[str, list[float]]) -> None:
    """Print a table and write the results."""
    rows = {}
    for name, values in seconds.items():
        peer = seconds["scatter, plastic" if "plastic" in name else "scatter"]
        ratio = statistics.median(b / a for a, b in zip(values, peer, strict=True))
        median = statistics.median(values)
        rows[name] = {
            "ms_per_generation": round(1e3 * median, 2),
            "steps_per_s": round(POPULATION * LIVES * STEPS / median),
            "faster_than_scatter": round(ratio, 2),
        }
        print(f"{name:20} {1e3 * median:7.1f} ms a generation, {ratio:5.1f} x scatter")
    results = {
        "command": "python benchmarks/bench_controllers.py",
        "work": {"population": POPULATION, "lives": LIVES, "steps": STEPS},
        "results": rows,
        "manifest": {k: v for k, v in manifest(seed=0).items() if k != "command"},
    }
    write_atomic(RESULTS, json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
