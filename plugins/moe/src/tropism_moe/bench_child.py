"""Act with a packed model and say what it cost: what :mod:`tropism_moe.bench` runs in a process of its own.

The trial is the argument, a JSON object, and so is what is printed: what was measured, or the error.
"""

from __future__ import annotations

import hashlib
import json
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from tropism.errors import TropismError
from tropism_moe.bench import ROUNDS, UNCOUNTED, Measured, Trial, chill, memory
from tropism_moe.config import ModelConfig
from tropism_moe.pack import STORE, pack_random
from tropism_moe.serving import Served

WARM = {"width": 32, "layers": 4, "rank": 4, "head_width": 8, "hidden": 32, "lattice": (2, 1, 1)}
WARM_BUDGET, WARM_STEPS = 1 << 20, 10


def inputs(config: ModelConfig, trial: Trial) -> npt.NDArray[Any]:
    """Random tokens ``int64[T, B]`` or observations ``float32[T, B, inputs]``, which make the routing visit many experts."""
    rng = np.random.default_rng(trial.seed)
    if config.outputs:
        shape = trial.steps, trial.lanes, config.inputs
        return rng.standard_normal(shape, np.float32)
    return rng.integers(0, config.inputs, (trial.steps, trial.lanes))


def warm(trial: Trial) -> None:
    """Have everything loaded and compiled that the trial will use, by tiny models: what is compiled later counts as memory that grew."""
    for ahead in (0, 1):
        with tempfile.TemporaryDirectory() as directory:
            pack_random(ModelConfig(**WARM, gated_ahead=ahead), Path(directory), 0)
            budget = None if trial.budget_bytes is None else WARM_BUDGET
            tiny = replace(trial, directory=directory, budget_bytes=budget, steps=WARM_STEPS)
            with Served.open(Path(directory), tiny.mode, budget) as model:
                Acting(model, tiny).all()


class Acting:
    """A model that acts on random inputs.

    Args:
        model: that acts.
        trial: how much.

    Attributes:
        most: memory, in bytes, at its highest after a step.
        walls: seconds of every step.
        cores: seconds of CPU of every step, of all threads.
        visited: slabs that were asked for.
        answers: hash of all outputs, actions and chosen experts.
    """

    def __init__(self, model: Served, trial: Trial) -> None:
        self.model, self.trial = model, trial
        self.most, self.visited = memory(), set[tuple[int, int]]()
        self.walls, self.cores, self.stalls = list[float](), list[float](), list[float]()
        self.answers = hashlib.sha256()

    def all(self) -> None:
        """Every step."""
        state = self.model.begin(self.trial.lanes)
        for x in inputs(self.model.config, self.trial):
            state = self._one(x, state)

    def _one(self, x: npt.NDArray[Any], state: Any) -> Any:
        """One step."""
        stalled = self.model.store.stats.stall_s
        wall, core = time.perf_counter(), time.process_time()
        outputs, state = self.model.step(x, state)
        self.cores.append(time.process_time() - core)
        self.walls.append(time.perf_counter() - wall)
        self.stalls.append(self.model.store.stats.stall_s - stalled)
        for part in (outputs, outputs.argmax(-1), self.model.chosen):
            self.answers.update(part.tobytes())
        layers = self.model.config.expert_layers
        for layer, chosen in zip(layers, self.model.chosen.tolist(), strict=True):
            self.visited.update((layer, e) for e in chosen)
        self.most = {name: max(value, self.most[name]) for name, value in memory().items()}
        return state

    def measured(self, before: dict[str, int], open_s: float) -> Measured:
        """What it came to."""
        first = self.trial.steps // UNCOUNTED
        walls, cores, stalls = self.walls[first:], self.cores[first:], self.stalls[first:]
        p50, p99 = np.percentile(walls, [50, 99]) * 1e3
        stats = self.model.store.stats
        return Measured(
            self._speed(walls), self._speed(cores), p50, p99, open_s,
            {name: self.most[name] - value for name, value in before.items()},
            stats.bytes_read, stats.hits / max(1, stats.requests), sum(stalls) / sum(walls),
            len(self.visited), stats.direct_io, self.answers.hexdigest(),
        )  # fmt: skip

    def _speed(self, seconds: list[float]) -> float:
        """Steps of all lanes a second, median of the rounds."""
        rounds = [part for part in np.array_split(seconds, ROUNDS) if len(part)]
        return self.trial.lanes * statistics.median(len(part) / part.sum() for part in rounds)


def act(trial: Trial) -> Measured:
    """Open the model cold, and act."""
    warm(trial)
    directory = Path(trial.directory)
    chill(directory / STORE)
    before, began = memory(), time.perf_counter()
    with Served.open(directory, trial.mode, trial.budget_bytes) as model:
        acting = Acting(model, trial)
        open_s = time.perf_counter() - began
        acting.all()
        return acting.measured(before, open_s)


def main() -> None:
    """Print what was measured, or the error."""
    torch.set_num_threads(1)
    try:
        told: dict[str, Any] = act(Trial(**json.loads(sys.argv[1])))._asdict()
    except TropismError as error:
        told = {"error": str(error)}
    print(json.dumps(told))  # noqa: T201  its parent reads it


if __name__ == "__main__":
    main()
