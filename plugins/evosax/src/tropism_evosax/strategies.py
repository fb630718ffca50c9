"""Evolution strategies by name: evosax's algorithms behind one face that maximises.

evosax minimises, initialises its two families differently, asserts instead of explaining, and has defaults
(sigma 1, learning rate .001) that do not move controllers whose weights are about .1.  :class:`Strategy` hides
all of that; :mod:`tropism_evosax.registry` lists the names.
Source: R. Lange, evosax, https://github.com/RobertTLange/evosax (0.3).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from importlib import import_module
from typing import Any

import jax
import jax.numpy as jnp

from tropism.errors import OptionError, UnknownNameError
from tropism_evosax.registry import STRATEGIES, Entry, find
from tropism_evosax.schedules import make_optimizer, make_schedule
from tropism_evosax.shaping import place_failed, shaping_function

__all__ = ["STRATEGIES", "Strategy", "make_strategy"]

Evaluate = Callable[[jax.Array], jax.Array]


def make_strategy(
    name: str,
    population: int,
    num_params: int,
    *,
    generations: int = 1,
    sigma: float = 0.1,
    sigma_schedule: str = "constant",
    sigma_final: float = 0.1,
    lr: float | None = None,
    lr_schedule: str = "constant",
    lr_final: float = 0.1,
    optimizer: str | None = None,
    shaping: str | None = None,
    antithetic: bool | None = None,
    init_sigma: float | None = None,
    options: dict[str, Any] | None = None,
) -> Strategy:
    """Build the strategy ``name`` for flat genomes.

    Args:
        name: a key of :data:`STRATEGIES`.
        population: genomes a generation.
        num_params: numbers a genome.
        generations: of the run; the schedules end with it.
        sigma: standard deviation of the search, at first where it adapts itself.
        sigma_schedule: for the strategies whose sigma is not adapted: ``constant``, ``exponential``, ``cosine``.
        sigma_final: fraction of ``sigma`` left at the end.
        lr: learning rate of the mean; ``None`` for the strategy's own.
        lr_schedule: as for sigma.
        lr_final: fraction of ``lr`` left at the end.
        optimizer: one of :data:`tropism_evosax.registry.OPTIMIZERS`; ``None`` for the strategy's own.
        shaping: one of :data:`tropism_evosax.registry.SHAPINGS`; ``None`` for the strategy's own.
        antithetic: mirrored sampling, for ``openes`` only (default true).
        init_sigma: deviation of the first mean, or first population; ``None`` for the strategy's own.
        options: further arguments, or parameters, of evosax's algorithm.

    Raises:
        UnknownNameError: for a strategy, schedule, optimiser, shaping or option that does not exist.
        OptionError: for a strategy that cannot be used here, or a value it refuses.
    """
    entry = find(name)
    _check_population(name, entry, population)
    algorithm = _load(entry.path)
    accepted = _arguments(algorithm)
    sigmas = make_schedule(sigma_schedule, sigma, sigma_final, generations)
    rates = make_schedule(
        lr_schedule, lr if lr is not None else entry.lr or 1.0, lr_final, generations
    )
    for field, schedule, argument in (
        ("sigma_schedule", sigma_schedule, "std_schedule"),
        ("lr_schedule", lr_schedule, "optimizer"),
    ):
        if schedule != "constant" and argument not in accepted:
            raise OptionError(
                f"{field} must be 'constant' for strategy {name!r}, which adapts it itself, got {schedule!r}"
            )
    arguments: dict[str, Any] = {"std_schedule": sigmas}
    arguments["optimizer"] = make_optimizer(optimizer or entry.optimizer, rates)
    arguments["sampling_fn"] = lambda key: sigma * jax.random.normal(key, (num_params,))
    arguments["num_generations"] = generations
    arguments = {k: v for k, v in arguments.items() if k in accepted}
    arguments |= _shaping(name, accepted, shaping or entry.shaping)
    if antithetic is not None:
        arguments |= _antithetic(name, accepted, antithetic)
    built, parameters = _build(
        name, algorithm, arguments, dict(options or {}), population, num_params
    )
    if entry.scale in parameters.__dataclass_fields__ and entry.scale not in (options or {}):
        parameters = parameters.replace(**{entry.scale: sigma})
    spread = init_sigma if init_sigma is not None else entry.spread
    return Strategy(name, built, parameters, spread)


class Strategy:
    """One evosax algorithm, maximising, over float32[D] genomes; all methods are pure and jittable.

    Args:
        name: for messages.
        algorithm: an instance of evosax's.
        parameters: its evosax ``Params``.
        spread: deviation of the first mean, or of the first population.
    """

    def __init__(self, name: str, algorithm: Any, parameters: Any, spread: float) -> None:
        self.name, self._algorithm, self._parameters = name, algorithm, parameters
        self.population, self.num_params = algorithm.population_size, algorithm.num_dims
        self._spread = spread

    @property
    def by_population(self) -> bool:
        """Keeps genomes with their scores (a genetic algorithm, say) instead of a distribution."""
        return find(self.name).by_population

    def start(self, key: jax.Array, evaluate: Evaluate) -> Any:
        """State before the first generation.

        Args:
            key: a JAX random key.
            evaluate: ``float32[P, D] -> float[P]``, called by the strategies :attr:`by_population` only.
        """
        draw, init = jax.random.split(key)
        if self.by_population:
            genomes = self._spread * jax.random.normal(draw, (self.population, self.num_params))
            loss = self._loss(evaluate(genomes), jnp.zeros(self.population, bool))
            state = self._algorithm.init(init, genomes, loss, self._parameters)
        else:
            mean = self._spread * jax.random.normal(draw, (self.num_params,))
            state = self._algorithm.init(init, mean, self._parameters)
        # evosax begins with Python numbers; a loop carries arrays of one certain type
        return jax.tree.map(lambda x: jax.lax.convert_element_type(x, jnp.asarray(x).dtype), state)

    def ask(self, key: jax.Array, state: Any) -> tuple[jax.Array, Any]:
        """Genomes float32[P, D] to evaluate."""
        return self._algorithm.ask(key, state, self._parameters)

    def tell(
        self, key: jax.Array, genomes: jax.Array, fitness: jax.Array, failed: jax.Array, state: Any
    ) -> Any:
        """State after the scores of ``genomes``.

        Args:
            key: a JAX random key.
            genomes: what :meth:`ask` gave.
            fitness: float[P], higher is better; where not finite, the genome counts as failed.
            failed: bool[P], genomes that get the last place.
            state: what :meth:`ask` gave.
        """
        loss = self._loss(fitness, failed)
        # zero weight times infinity is no number: a broken genome must not reach a weighted sum
        sound = jnp.isfinite(genomes).all(axis=1, keepdims=True)
        genomes = jnp.where(sound, genomes, self.centre(state))
        new, _ = self._algorithm.tell(key, genomes, loss, state, self._parameters)
        return jax.tree.map(lambda old, new: jnp.asarray(new, old.dtype), state, new)

    def centre(self, state: Any) -> jax.Array:
        """The genome float32[D] the strategy believes in: its mean, or the best it keeps."""
        if not self.by_population:
            return state.mean
        return state.population[jnp.argmin(state.fitness)]

    def _loss(self, fitness: jax.Array, failed: jax.Array) -> jax.Array:
        return -place_failed(fitness, failed, absolute=self.by_population)


def _load(path: str) -> Any:
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)


def _arguments(algorithm: type) -> dict[str, inspect.Parameter]:
    own = ("self", "population_size", "solution", "metrics_fn")
    found = inspect.signature(algorithm.__init__).parameters  # pyright: ignore[reportAttributeAccessIssue]
    return {name: value for name, value in found.items() if name not in own}


def _check_population(name: str, entry: Entry, population: int) -> None:
    if population < entry.least:
        raise OptionError(
            f"population must be at least {entry.least} for strategy {name!r}, got {population}"
        )
    if entry.pairs and population % 2:
        raise OptionError(
            f"population must be even for strategy {name!r}, which samples in pairs, got {population}"
        )


def _shaping(name: str, accepted: dict[str, inspect.Parameter], shaping: str) -> dict[str, Any]:
    function = shaping_function(shaping)
    if function is None:
        return {}
    if "weights" in accepted["fitness_shaping_fn"].default.__name__:
        raise OptionError(
            f"shaping must be 'own' for strategy {name!r}, whose update is built on its own rank weights, "
            f"got {shaping!r}"
        )
    return {"fitness_shaping_fn": function}


def _antithetic(
    name: str, accepted: dict[str, inspect.Parameter], antithetic: bool
) -> dict[str, Any]:
    if "use_antithetic_sampling" not in accepted:
        raise OptionError(
            f"antithetic must be None for strategy {name!r}, which does not leave it open, got {antithetic!r}"
        )
    return {"use_antithetic_sampling": antithetic}


def _build(
    name: str,
    algorithm: Any,
    arguments: dict[str, Any],
    options: dict[str, Any],
    population: int,
    num_params: int,
) -> tuple[Any, Any]:
    """The algorithm and its parameters, with ``options`` put where they belong."""
    accepted = _arguments(algorithm)
    mine = {k: options.pop(k) for k in list(options) if k in accepted}
    try:
        built = algorithm(
            population_size=population,
            solution=jnp.zeros(num_params),
            metrics_fn=lambda *_: {},  # else every generation's best genome and mean come back
            **arguments | mine,
        )
    except (AssertionError, TypeError, ValueError) as error:
        raise OptionError(
            f"strategy {name!r} refuses {mine or {'population': population}}: {error}"
        ) from error
    parameters = built.default_params
    for option in options:
        if option not in parameters.__dataclass_fields__:
            known = [*accepted, *parameters.__dataclass_fields__]
            raise UnknownNameError(f"option of strategy {name!r}", option, known)
    return built, parameters.replace(**options)
