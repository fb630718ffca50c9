"""The policy that an evolved genome grows into: a network a lane, which may go on learning within its life."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from tropism.agents.artifacts import write_atomic
from tropism.agents.contract import BoolArray, Decision, Policy, Task
from tropism.agents.options import build_config
from tropism.agents.records import read_record, spaces_record
from tropism.envs.core.random import seed_key
from tropism.errors import ArtifactError, OptionError, UnknownNameError
from tropism_evosax.genomes.contract import Encoding
from tropism_evosax.genomes.files import read_genome, write_genome
from tropism_evosax.genomes.registry import encoding_from_spec
from tropism_evosax.networks.contract import Controller
from tropism_evosax.senses import Senses

RECORD, GENOME = "policy.json", "genome.npz"
FORMAT = 1
"""Version of the layout of a saved policy."""
BLOCK = 32
"""Lanes a program steps at once.  It is the same program for any number of lanes, hence the same bits."""


class EvosaxPolicy(Policy):
    """Plays ``B`` lanes with one genome; each lane has a memory of its own, plastic weights included.

    A plastic network learns from what :class:`tropism_evosax.senses.Senses` feels of observations and reward,
    here as in evolution.

    Args:
        encoding: of the genome.
        genome: float32[num_params].
        senses: of the environment.
        task: whose spaces it plays in.
    """

    def __init__(self, encoding: Encoding, genome: Any, senses: Senses, task: Task) -> None:
        self.encoding, self.senses, self.task = encoding, senses, task
        self.genome = np.asarray(genome, np.float32)
        self._controller = encoding.controller
        self._programs = _programs(self._controller, senses)
        self._weights = jax.jit(encoding.develop)(self.genome)
        self._lanes, self._memory = 0, []
        self._seen = np.zeros((0, BLOCK, self._controller.num_inputs), np.float32)

    def reset(self, mask: BoolArray, seeds: npt.NDArray[np.uint64]) -> None:
        """Begin a life in the lanes of ``mask`` (``bool[B]``): memory and learned weights are forgotten."""
        if len(mask) != self._lanes:
            self._lanes, blocks = len(mask), -(-len(mask) // BLOCK)
            self._memory = [None] * blocks
        keys = np.zeros((self._lanes, 2), np.uint32)
        keys[mask] = np.array([seed_key(int(seed)) for seed in seeds[mask]], np.uint32).reshape(
            -1, 2
        )
        for n, (begins, key) in enumerate(zip(_cut(mask), _cut(keys), strict=True)):
            if self._memory[n] is None:
                self._memory[n] = self._programs.newborn(self._weights, key)
            elif begins.any():
                self._memory[n] = self._programs.renew(self._weights, self._memory[n], begins, key)

    def act(
        self,
        observation: Any,
        info: Mapping[str, Any],  # noqa: ARG002
        gate: BoolArray | None = None,  # noqa: ARG002
    ) -> Decision:
        """One action a lane, that of the largest motor output; it is no distribution, so no ``log_probs``."""
        self._seen = _cut(np.asarray(observation, np.float32))
        actions = []
        for n, seen in enumerate(self._seen):
            self._memory[n], action = self._programs.act(self._weights, self._memory[n], seen)
            actions.append(action)
        action = np.concatenate(actions)[: self._lanes].astype(np.int64)
        return Decision(action, np.ones(self._lanes, np.int64))

    def observe(
        self,
        action: Any,  # noqa: ARG002
        observation: Any,
        reward: npt.NDArray[np.float64],
        terminated: BoolArray,  # noqa: ARG002
        truncated: BoolArray,  # noqa: ARG002
        info: Mapping[str, Any],  # noqa: ARG002
    ) -> None:
        """Learn from the step just taken, if the network is plastic."""
        if not self._controller.plastic:
            return
        after, rewards = _cut(np.asarray(observation, np.float32)), _cut(reward.astype(np.float32))
        for n, felt in enumerate(zip(self._seen, rewards, after, strict=True)):
            self._memory[n] = self._programs.learn(self._weights, self._memory[n], *felt)

    def save(self, directory: Path) -> None:
        """Write ``genome.npz`` and ``policy.json``: spaces, and what is felt where."""
        write_genome(directory / GENOME, self.genome, self.encoding.spec())
        record = {"format": FORMAT, "senses": asdict(self.senses), **spaces_record(self.task)}
        write_atomic(directory / RECORD, json.dumps(record, indent=1))

    @classmethod
    def load(cls, directory: Path, task: Task) -> EvosaxPolicy:
        """Read what :meth:`save` wrote.

        Raises:
            ArtifactError: if the files are missing, damaged, of another format or for other spaces.
        """
        directory = Path(directory)
        record = read_record(directory / RECORD, {"format": FORMAT, **spaces_record(task)})
        genome, spec = read_genome(directory / GENOME)
        try:
            senses = build_config(Senses, dict(record["senses"]), owner="senses")
            encoding = encoding_from_spec(spec)
        except (OptionError, UnknownNameError, KeyError, TypeError) as error:
            raise ArtifactError(f"{directory} is damaged: {error}") from error
        _check_sizes(directory, encoding.controller, task)
        return cls(encoding, genome, senses, task)


class _Programs(NamedTuple):
    """Jitted functions over a block of lanes."""

    newborn: Any
    renew: Any
    act: Any
    learn: Any


@cache
def _programs(controller: Controller, senses: Senses) -> _Programs:
    """Compiled once for all policies of a kind; weights are arguments."""
    newborn = jax.vmap(controller.initial, (None, 0))

    def renew(weights: Any, memory: Any, begins: Any, keys: Any) -> Any:
        def choose(new: Any, old: Any) -> Any:
            return jnp.where(begins.reshape(-1, *(1,) * (new.ndim - 1)), new, old)

        return jax.tree.map(choose, newborn(weights, keys), memory)

    def act(weights: Any, memory: Any, seen: Any) -> Any:
        memory, action, _ = controller.act(weights, memory, seen)
        return memory, action

    def learn(weights: Any, memory: Any, before: Any, reward: Any, after: Any) -> Any:
        return controller.learn(weights, memory, senses.feel(before, reward, after))[0]

    return _Programs(
        jax.jit(newborn),
        jax.jit(renew),
        jax.jit(jax.vmap(act, (None, 0, 0))),
        jax.jit(jax.vmap(learn, (None, 0, 0, 0, 0))),
    )


def _cut(lanes: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Lanes ``[B, ...]`` as blocks ``[n, BLOCK, ...]``, the last one filled up with zeros."""
    blocks = -(-len(lanes) // BLOCK)
    padded = np.zeros((blocks * BLOCK, *lanes.shape[1:]), lanes.dtype)
    padded[: len(lanes)] = lanes
    return padded.reshape(blocks, BLOCK, *lanes.shape[1:])


def _check_sizes(directory: Path, controller: Controller, task: Task) -> None:
    """Refuse a genome of a network that does not fit the task."""
    seen, done = task.spaces()
    wanted = (*(seen.shape or ()), int(getattr(done, "n", 0)))
    if wanted != (controller.num_inputs, controller.num_actions):
        raise ArtifactError(
            f"{directory / GENOME} is for {controller.num_inputs} inputs and {controller.num_actions} actions, "
            f"{task.env_id} has {wanted}"
        )
