"""Evolution: whole generations in one jitted loop, chunk by chunk, so that progress and checkpoints come out.

All randomness derives from (seed, generation, purpose), and a chunk of any length is the same program: a run that was
killed and resumed, whatever its chunks, ends with the same numbers as one that was not.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from tropism.errors import OptionError
from tropism_evosax.assessment import Assessor
from tropism_evosax.cache import use_cache
from tropism_evosax.config import EvoConfig
from tropism_evosax.cost import most_steps
from tropism_evosax.devices import choose_devices, on_devices
from tropism_evosax.evaluation import make_evaluator
from tropism_evosax.face import Face, keys_of_seeds
from tropism_evosax.generation import Generation, State
from tropism_evosax.genomes.registry import make_encoding
from tropism_evosax.networks.registry import make_controller
from tropism_evosax.strategies import make_strategy
from tropism_evosax.tally import Lives

CHUNK = 10
"""Most generations a device call."""
Row = dict[str, Any]


class Evolution:
    """A config, made runnable; compiles once for all seeds.

    Args:
        config: its ``seed`` is not used here.

    Raises:
        UnsupportedTaskError: if the environment cannot be evolved on, with the reason.
        OptionError: for a value that something built from the config refuses.
    """

    def __init__(self, config: EvoConfig) -> None:
        use_cache()
        self.config = config
        self.face = Face(config.env_id, config.env_kwargs)
        self.controller = make_controller(
            config.controller,
            self.face.num_inputs,
            self.face.num_actions,
            **config.controller_kwargs,
        )
        self.encoding = make_encoding(config.genome, self.controller, **config.genome_kwargs)
        self.devices = choose_devices(config.population, config.devices)
        self._check_size()
        self._generation = Generation(
            config,
            self._make_strategy(),
            Assessor(config, self.face, self.encoding, self.devices),
            self.encoding.scales,
            num_actions=self.face.num_actions,
            plastic=self.controller.plastic,
        )

    def start(self, seed: int) -> State:
        """The state before generation 0."""
        return self._start(jnp.uint32(seed))

    def advance(self, state: State, generations: int) -> tuple[State, list[Row]]:
        """Up to :data:`CHUNK` more generations.

        Returns:
            The state after them, and a row for each: JSON values, but arrays ``stage`` and ``proxy``.
        """
        count = min(generations, CHUNK)
        first = int(state.generation)
        state, rows = self._advance(state, jnp.int32(count))
        rows = jax.tree.map(np.asarray, rows)
        return state, [
            {"generation": first + i, **{k: _plain(v[i]) for k, v in rows.items()}}
            for i in range(count)
        ]

    def mean(self, state: State) -> npt.NDArray[np.float32]:
        """The strategy's mean as a genome float32[D]."""
        return np.asarray(self._generation.centre(state.search))

    def assess(self, genomes: npt.ArrayLike, seeds: Iterable[int], *, adult: bool = False) -> Lives:
        """Let genomes live the episodes of ``env.reset(seed=...)``, the same for all.

        Args:
            genomes: float32[D] or float32[P, D].
            seeds: of the episodes.
            adult: with the schedules of development at their end values.

        Returns:
            NumPy arrays ``[P, E]``.
        """
        keys = keys_of_seeds(jnp.asarray(np.asarray(list(seeds), np.uint32)))
        evaluate = self._adult if adult else self._whole
        lives = evaluate(jnp.atleast_2d(jnp.asarray(genomes, jnp.float32)), keys)
        return jax.tree.map(np.asarray, lives)

    def most_steps(self) -> int:
        """Environment steps that a run can compute at most; see :mod:`tropism_evosax.cost`."""
        return most_steps(self.config, self.face.steps, self.devices)

    def _check_size(self) -> None:
        """Refuse a generation whose steps could not be counted in 32 bits."""
        steps = most_steps(replace(self.config, generations=1), self.face.steps, self.devices)
        if steps >= 2**31:
            raise OptionError(
                "population x episodes x steps must stay below 2**31 a generation, got "
                f"{self.config.population} x {self.config.episodes} x {self.face.steps}, with all stages {steps}"
            )

    @cached_property
    def _start(self) -> Any:
        return jax.jit(on_devices(self._generation.start, self.devices))

    @cached_property
    def _advance(self) -> Any:
        return jax.jit(on_devices(self._chunk, self.devices))

    @cached_property
    def _whole(self) -> Any:
        return jax.jit(make_evaluator(self.face, self.encoding, steps=self.config.steps))

    @cached_property
    def _adult(self) -> Any:
        face = Face(self.config.env_id, self.config.env_kwargs, adult=True)
        return jax.jit(make_evaluator(face, self.encoding, steps=self.config.steps))

    def _chunk(self, state: State, count: jax.Array) -> tuple[State, Any]:
        """``count`` generations; a loop of dynamic length, so that any chunk is the same program."""
        _, shapes = jax.eval_shape(self._generation, state)
        rows = jax.tree.map(lambda s: jnp.zeros((CHUNK, *s.shape), s.dtype), shapes)

        def one(i: jax.Array, carry: tuple[State, Any]) -> tuple[State, Any]:
            state, rows = carry
            state, row = self._generation(state)
            return state, jax.tree.map(lambda a, x: a.at[i].set(x), rows, row)

        return jax.lax.fori_loop(0, count, one, (state, rows))

    def _make_strategy(self) -> Any:
        c = self.config
        return make_strategy(
            c.strategy,
            c.population,
            self.encoding.num_params,
            generations=c.generations,
            sigma=c.sigma,
            sigma_schedule=c.sigma_schedule,
            sigma_final=c.sigma_final,
            lr=c.lr,
            lr_schedule=c.lr_schedule,
            lr_final=c.lr_final,
            optimizer=c.optimizer,
            shaping=c.shaping,
            antithetic=c.antithetic,
            init_sigma=c.init_sigma,
            options=dict(c.strategy_kwargs),
        )


def _plain(value: np.ndarray) -> Any:
    """A row's value: a number of Python's, or the array."""
    return value.item() if value.ndim == 0 else value
