from __future__ import annotations

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tropism.errors import OptionError, UnknownNameError, UnsupportedTaskError
from tropism_evosax.cache import cache_directory
from tropism_evosax.config import preset
from tropism_evosax.evolution import Evolution
from tropism_evosax.evolve import evolve
from tropism_evosax.filters import Novelty, Rung, Viability

pytestmark = pytest.mark.usefixtures("quick_evolutions")


@pytest.fixture(scope="module")
def evolution(tiny, quick_evolutions):
    return Evolution(tiny())


@pytest.fixture(scope="module")
def result(tiny, quick_evolutions):
    return evolve(tiny(), [3])[0]


def test_evolution_finds_something(tiny):
    config = tiny(generations=30, population=32, episodes=4, crown_every=10, finalist_episodes=64)
    [found] = evolve(config)
    lives = Evolution(config).assess(found.best, range(2_000_000, 2_000_256))
    assert lives.fitness.mean() > found.rows[0]["fitness_mean"] + 5
    assert abs(lives.fitness.mean() - found.best_score) < 6 * found.best_error


def test_the_same_seed_gives_the_same_bits_and_another_does_not(tiny, result, same):
    again, other = evolve(tiny(), [3, 4])
    same(result, again)
    assert not np.array_equal(again.best, other.best)


def test_chunks_change_nothing(evolution):
    whole, rows = evolution.advance(evolution.start(3), 7)
    state, parts = evolution.start(3), []
    for size in (1, 4, 2):
        state, new = evolution.advance(state, size)
        parts += new
    assert json.dumps(parts) == json.dumps(rows)
    for one, other in zip(jax.tree.leaves(whole), jax.tree.leaves(state), strict=True):
        np.testing.assert_array_equal(one, other)


def test_rows_tell_what_happened(result):
    assert [row["generation"] for row in result.rows] == list(range(7))
    crowned = [row["generation"] for row in result.rows if np.isfinite(row["best_score"])]
    assert crowned == [2, 5, 6]  # every third, and the last
    assert result.rows[-1]["best_score"] == result.best_score
    for row in result.rows:
        assert row["full"] == row["viable"] == 8
        assert 0 < row["lived"] <= row["simulated"] == 8 * 2 * 32
        assert row["fitness_max"] >= row["fitness_mean"]
    assert result.env_steps == sum(row["lived"] + row["crown_lived"] for row in result.rows)
    assert result.env_steps <= Evolution(result.config).most_steps()
    assert json.dumps(result.rows)


def test_the_progress_of_each_chunk_is_told_and_may_stop_the_run(tiny):
    heard = []

    def stop_after_the_first(seed, rows):
        heard.append((seed, len(rows)))
        return seed == 0

    stopped, whole = evolve(tiny(), [0, 1], progress=stop_after_the_first)
    assert heard == [(0, 3), (1, 3), (1, 3), (1, 1)]
    assert (stopped.generations, whole.generations) == (3, 7)


@pytest.mark.parametrize(
    "changes",
    [
        {
            "strategy": "differential-evolution",
            "common_episodes": False,
            "genome": "cppn",
            "controller": "spiking",
            "controller_kwargs": {"topology": "lattice"},
        },
        {
            "viability": Viability(1, 8, 4, 0.01),
            "rungs": (Rung(8, 1, 0.5),),
            "novelty": Novelty(weight=0.3, quota=0.25, capacity=16),
            "controller": "spiking",
            "controller_kwargs": {"plasticity": {"modulator": "event"}},
        },
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_every_part_plays_with_the_others(tiny, changes):
    [found] = evolve(tiny(**changes))
    assert np.isfinite(found.best).all()
    assert np.isfinite(found.best_score)
    assert found.env_steps <= Evolution(tiny(**changes)).most_steps()


def test_the_origin_keeps_its_luckiest_genome(tiny):
    origin = preset("origin")
    assert (origin.antithetic, origin.finalists, origin.common_episodes) == (False, 0, False)
    settings = {k: getattr(origin, k) for k in ("antithetic", "finalists", "common_episodes")}
    [found] = evolve(tiny(**settings, shaping=origin.shaping, lr=origin.lr))
    assert found.best_score == max(row["fitness_max"] for row in found.rows)
    assert found.rows[-1]["crown_simulated"] == 0


def test_genomes_that_overflow_are_counted_and_never_crowned(tiny):
    broken = Evolution(tiny())
    ask = broken._generation._strategy.ask

    def ask_for_trouble(key, state):
        points, state = ask(key, state)
        return points.at[1].set(jnp.nan), state

    broken._generation._strategy.ask = ask_for_trouble
    state, rows = broken.advance(broken.start(0), 7)
    assert [row["overflowed"] for row in rows] == [1] * 7
    assert np.isfinite(broken.mean(state)).all()
    assert jnp.isfinite(state.champion.genome).all()
    assert all(np.isfinite(row["fitness_mean"]) for row in rows)


def test_held_out_lives_are_those_of_the_seeds(evolution, result):
    lives = evolution.assess([result.best, result.mean], [11, 12, 13])
    assert lives.fitness.shape == (2, 3)
    one = evolution.assess(result.mean, [12])
    assert one.fitness[0, 0] == lives.fitness[1, 1]
    adult = evolution.assess(result.mean, [12], adult=True)
    assert adult.fitness[0, 0] == one.fitness[0, 0]  # nothing develops here


def test_more_devices_than_there_are_is_an_option_error(tiny):
    with pytest.raises(OptionError, match="devices must be at most"):
        Evolution(tiny(devices=8))


def test_mistakes_are_told_before_anything_runs(tiny, tmp_path):
    with pytest.raises(UnsupportedTaskError, match="flat=True"):
        Evolution(tiny(env_id="tropism/PatternWorld-Switch-v0", env_kwargs={}))
    with pytest.raises(UnknownNameError, match="hidden"):
        Evolution(tiny(controller_kwargs={"hiden": 4}))
    with pytest.raises(OptionError, match=r"below 2\*\*31"):
        Evolution(tiny(population=100_000, episodes=1000))
    with pytest.raises(OptionError, match="one directory a seed"):
        evolve(tiny(), [0, 1], [tmp_path])


def test_the_cache_is_where_the_user_wants_it(monkeypatch, tmp_path):
    monkeypatch.setenv("TROPISM_CACHE", str(tmp_path))
    assert cache_directory() == tmp_path / "jax"
    monkeypatch.delenv("TROPISM_CACHE")
    assert cache_directory().parts[-2:] == ("tropism", "jax")
