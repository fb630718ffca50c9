"""Evolution as a Tropism agent."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import jax
import numpy as np
import numpy.typing as npt

from tropism.agents.contract import Agent, Budget, Task
from tropism.envs import TRAINING
from tropism.errors import UnsupportedTaskError
from tropism_evosax.agent_config import EvosaxConfig, plan
from tropism_evosax.cache import use_cache
from tropism_evosax.evolve import Evolved, evolve
from tropism_evosax.face import Face
from tropism_evosax.genomes.contract import Encoding, sample
from tropism_evosax.genomes.registry import make_encoding
from tropism_evosax.networks.registry import make_controller
from tropism_evosax.policy import EvosaxPolicy
from tropism_evosax.senses import Senses
from tropism_evosax.store import read_rows

if TYPE_CHECKING:
    from tropism.agents.runs import Run

LAST_SEED = 2**31 - 1
"""Seeds are drawn as int32."""
LOGGED = ("fitness_mean", "fitness_max", "best_score", "mean_score", "viable", "entropy", "change")


class EvosaxAgent(Agent):
    """Evolves the genome of a controller by a strategy of evosax (R. Lange, https://github.com/RobertTLange/evosax).

    Plays environments that have a functional face, flat observations and discrete actions.  The budget counts
    steps computed: lives that have ended are computed on, filters and finalists included.  The same config and
    seed give the same policy.
    """

    Config: ClassVar[type] = EvosaxConfig

    def supports(self, task: Task) -> str | None:
        """``None``, or why evolution cannot run ``task``."""
        if task.agents:
            return "evolution plays single-agent environments"
        if task.train_seeds[1] > LAST_SEED:
            return f"evolution draws training seeds below {LAST_SEED}, got {task.train_seeds}"
        try:
            played, trained = Face(task.env_id, task.kwargs), Face(task.env_id, _training(task))
        except UnsupportedTaskError as error:
            return str(error)
        sizes = [(face.num_inputs, face.num_actions) for face in (played, trained)]
        if sizes[0] != sizes[1]:
            return f"inputs and actions are {sizes[1]} in training and {sizes[0]} in evaluation"
        return None

    def train(self, task: Task, budget: Budget, run: Run) -> EvosaxPolicy:
        """Evolve on ``task`` within ``budget``, from the latest checkpoint of ``run`` on.

        Computes at most ``budget.env_steps`` steps; with ``budget.wall_s`` it stops after the generations, at
        most ten, in which that time has passed.  Without a budget for one generation the genome is a random one.

        Raises:
            UnsupportedTaskError: if :meth:`supports` has a reason against ``task``.
            ArtifactError: if the latest checkpoint is damaged.
        """
        if reason := self.supports(task):
            raise UnsupportedTaskError(f"{type(self).__name__} cannot run {task.env_id}: {reason}")
        use_cache()
        face = Face(task.env_id, task.kwargs)
        encoding = _encoding(self.config, face)
        genome = self._evolve(task, budget, run)
        if genome is None:
            genome = np.asarray(sample(encoding, jax.random.key(self.seed), 1)[0])
        return EvosaxPolicy(encoding, genome, Senses.of(face.params), task)

    def _evolve(self, task: Task, budget: Budget, run: Run) -> npt.NDArray[np.float32] | None:
        """The genome that evolution found, or ``None`` if there was no budget."""
        settled = {
            "env_id": task.env_id,
            "env_kwargs": _training(task),
            "train_seeds": task.train_seeds,
            "seed": self.seed,
        }
        life = Face(task.env_id, settled["env_kwargs"]).steps
        evolution = plan(self.config, life, budget.env_steps, **settled)
        if evolution is None:
            return None
        with run.progress(evolution.generations, f"evosax {task.env_id}") as update:
            listener = _Listener(run, update, budget.wall_s)
            [evolved] = evolve(evolution, run_dirs=[run], progress=listener)
        return _played(evolved, self.config.play)

    @classmethod
    def load(cls, directory: Path, task: Task) -> EvosaxPolicy:
        """The policy saved in ``directory``; see :meth:`tropism_evosax.policy.EvosaxPolicy.load`."""
        return EvosaxPolicy.load(directory, task)


@dataclass(frozen=True)
class PlasticConfig(EvosaxConfig):
    """The settings of ``evosax``, with learning within a life, modulated by what was gained and lost."""

    controller_kwargs: Mapping[str, Any] = field(
        default_factory=lambda: {"plasticity": {"modulator": "event"}}
    )


class EvosaxPlasticAgent(EvosaxAgent):
    """``evosax`` with spiking networks that go on learning while they play."""

    Config = PlasticConfig


class _Listener:
    """Hears of every chunk of generations: shows progress, logs, and stops when the time is over."""

    def __init__(self, run: Run, update: Callable[[float], None], wall_s: float | None) -> None:
        self._run, self._update = run, update
        self._deadline = math.inf if wall_s is None else time.monotonic() + wall_s
        self._steps: int | None = None

    def __call__(self, seed: int, rows: list[dict[str, Any]]) -> bool:
        """Whether to stop."""
        del seed
        if self._steps is None:  # what a resumed run has behind it
            self._steps = sum(map(_simulated, read_rows(self._run.directory)))
        for row in rows:
            self._steps += _simulated(row)
            self._run.log(self._steps, **{name: row[name] for name in LOGGED if name in row})
        self._update(rows[-1]["generation"] + 1)
        return time.monotonic() >= self._deadline


def _simulated(row: Mapping[str, Any]) -> int:
    return int(row["simulated"]) + int(row["crown_simulated"])


def _played(evolved: Evolved, which: str) -> npt.NDArray[np.float32]:
    """The genome that becomes the policy; the mean where nobody was crowned yet."""
    return evolved.best if which == "best" and evolved.best_generation >= 0 else evolved.mean


def _training(task: Task) -> dict[str, Any]:
    """Arguments of the environment in training."""
    return {**TRAINING.get(task.env_id, {}), **task.kwargs, **task.train_kwargs}


def _encoding(config: EvosaxConfig, face: Face) -> Encoding:
    controller = make_controller(
        config.controller, face.num_inputs, face.num_actions, **config.controller_kwargs
    )
    return make_encoding(config.genome, controller, **config.genome_kwargs)
