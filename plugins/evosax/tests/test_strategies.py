from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tropism.errors import OptionError, UnknownNameError
from tropism_evosax.registry import STRATEGIES
from tropism_evosax.strategies import make_strategy

USABLE = [name for name, entry in STRATEGIES.items() if not entry.unusable]
POPULATION, DIMENSIONS, GENERATIONS = 16, 16, 40
TARGET = jnp.where(jnp.arange(DIMENSIONS) % 2, 0.5, -0.5)


def sphere(points):
    return -jnp.sum((points - TARGET) ** 2, axis=-1)


@pytest.fixture
def climb(quick_jit):
    """Fitness of the first centre and of the best later one; the last state: ``climb("openes", option=value, ...)``."""

    def go(name, **options):
        first, after, state = quick_jit(climber(name, **options))(jax.random.key(1))
        return float(first), float(after.max()), state

    return go


def climber(name, **options):
    """A run: of a key, the fitness of the first centre and of all later ones, and the last state."""
    strategy = make_strategy(name, POPULATION, DIMENSIONS, generations=GENERATIONS, **options)

    def generation(state, key):
        ask, tell = jax.random.split(key)
        points, state = strategy.ask(ask, state)
        state = strategy.tell(tell, points, sphere(points), jnp.zeros(POPULATION, bool), state)
        return state, sphere(strategy.centre(state))

    def run(key):
        state = strategy.start(key, sphere)
        first = sphere(strategy.centre(state))
        state, after = jax.lax.scan(generation, state, jax.random.split(key, GENERATIONS))
        return first, after, state

    return run


@pytest.mark.parametrize("name", USABLE)
def test_every_strategy_keeps_its_shapes(name):
    first, after, state = jax.eval_shape(climber(name), jax.random.key(1))
    assert (first.shape, after.shape) == ((), (GENERATIONS,))
    assert jax.tree.leaves(state)


@pytest.mark.parametrize(
    "name",
    [  # a second of compilation each: every other one by default, all of them with the slow tests
        pytest.param(name, marks=[pytest.mark.slow] * (i % 2)) for i, name in enumerate(USABLE)
    ],
)
def test_every_strategy_moves_at_our_scale(climb, name):
    first, best, _ = climb(name)
    assert best > first + 0.1 * abs(first)


def test_every_algorithm_of_evosax_has_a_name_or_a_reason():
    from evosax.algorithms import algorithms

    classes = {entry.path.rpartition(":")[2] for entry in STRATEGIES.values()}
    assert classes == {algorithm.__name__ for algorithm in algorithms.values()}
    assert all(entry.unusable for name, entry in STRATEGIES.items() if name not in USABLE)


@pytest.mark.parametrize("name", sorted(STRATEGIES.keys() - set(USABLE)))
def test_what_cannot_be_used_says_why(name):
    with pytest.raises(OptionError, match=(STRATEGIES[name].unusable or "")[:20]):
        make_strategy(name, 16, 4)


def test_plain_openai_es_is_the_textbook_update():
    """The origin's search: independent normal draws, centred ranks, sigma .1, learning rate .05, no momentum."""
    population, dimensions, sigma, rate = 16, DIMENSIONS, 0.1, 0.05
    strategy = make_strategy(
        "openes",
        population,
        dimensions,
        antithetic=False,
        shaping="centred-ranks",
        optimizer="sgd",
        sigma=sigma,
        lr=rate,
    )
    keys = jax.random.split(jax.random.key(3), 3)
    state = strategy.start(keys[0], sphere)
    mean = np.asarray(strategy.centre(state), np.float64)
    points, state = strategy.ask(keys[1], state)
    fitness = jnp.sin(17.0 * points).sum(axis=1)
    state = strategy.tell(keys[2], points, fitness, jnp.zeros(population, bool), state)

    noise = (np.asarray(points, np.float64) - mean) / sigma
    assert abs(noise + noise[::-1]).min() > 0  # nothing mirrored
    ranks = np.argsort(np.argsort(fitness)) / (population - 1) - 0.5
    expected = mean + rate / (population * sigma) * ranks @ noise
    np.testing.assert_allclose(strategy.centre(state), expected, rtol=0, atol=1e-6)


def test_mirrored_sampling_is_on_by_default():
    strategy = make_strategy("openes", 8, DIMENSIONS)
    state = strategy.start(jax.random.key(0), sphere)
    points, _ = strategy.ask(jax.random.key(1), state)
    centre = strategy.centre(state)
    np.testing.assert_allclose(points[:4] - centre, centre - points[4:], atol=1e-6)


@pytest.mark.parametrize(
    "name", ["openes", "pgpe", "cma-es", "snes", "differential-evolution", "pso"]
)
def test_a_score_that_is_no_number_poisons_nothing(quick_jit, name):
    strategy = make_strategy(name, 8, 3, sigma=0.1)

    def begin():
        state = strategy.start(jax.random.key(0), lambda p: -jnp.sum(p**2, axis=-1))
        return strategy.ask(jax.random.key(1), state)

    points, state = quick_jit(begin)()
    fitness = -jnp.sum(points**2, axis=-1)
    broken = fitness.at[2].set(jnp.nan)
    failed = jnp.arange(8) == 2
    tell = quick_jit(strategy.tell)
    after = [
        tell(jax.random.key(2), points, told, flags, state)
        for told, flags in ((broken, failed & False), (fitness, failed))
    ]
    for one, other in zip(*map(jax.tree.leaves, after), strict=True):
        np.testing.assert_array_equal(one, other)
        assert jnp.isfinite(one).all()


def test_schedules_move_sigma_and_the_learning_rate(climb):
    decaying = climb("openes", sigma_schedule="cosine", sigma_final=0.5)[2]
    assert float(decaying.std) == pytest.approx(0.05, rel=0.05)
    stopped = climb("openes", lr_schedule="exponential", lr_final=1e-6)[1]
    assert stopped < climb("openes")[1]


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("openes", {"population": 7}, ["population", "even", "7"]),
        ("differential-evolution", {"population": 3}, ["population", "at least 4", "3"]),
        ("cma-es", {"sigma_schedule": "cosine"}, ["sigma_schedule", "constant", "cosine"]),
        ("cma-es", {"lr_schedule": "cosine"}, ["lr_schedule", "constant"]),
        ("cma-es", {"shaping": "none"}, ["shaping", "own", "none"]),
        ("snes", {"antithetic": True}, ["antithetic", "None"]),
        ("gesmr-ga", {"options": {"num_groups": 2}}, ["gesmr-ga", "num_groups"]),
    ],
)
def test_what_a_strategy_cannot_do_is_an_option_error(name, options, words):
    options = {"population": 8, **options}
    with pytest.raises(OptionError) as error:
        make_strategy(name, num_params=4, **options)
    assert all(word in str(error.value) for word in words)


@pytest.mark.parametrize(
    ("name", "options", "near"),
    [
        ("opnes", {}, "openes"),
        ("openes", {"optimizer": "adm"}, "adam"),
        ("openes", {"shaping": "rank"}, "centred-ranks"),
        ("pso", {"options": {"inertia": 1.0}}, "inertia_coeff"),
    ],
)
def test_unknown_names_suggest_near_ones(name, options, near):
    with pytest.raises(UnknownNameError, match=near):
        make_strategy(name, 8, 4, **options)


def test_options_reach_the_algorithm():
    strategy = make_strategy("pso", 8, 4, options={"inertia_coeff": 0.5})
    assert strategy._parameters.inertia_coeff == 0.5
    strategy = make_strategy("rm-es", 8, 4, options={"m": 3})
    assert strategy._algorithm.m == 3
