from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tropism_evosax.assessment import Assessor
from tropism_evosax.blocks import evaluate_some
from tropism_evosax.config import EvoConfig
from tropism_evosax.evaluation import make_evaluator
from tropism_evosax.face import Face, keys_of_seeds
from tropism_evosax.filters import Novelty, Rung, Viability
from tropism_evosax.genomes.registry import make_encoding
from tropism_evosax.networks.registry import make_controller
from tropism_evosax.novelty import empty
from tropism_evosax.rungs import promote

NAN = float("nan")
POPULATION, STEPS = 24, 32
RUNG = Rung(steps=16, episodes=2, keep=0.5)


@pytest.fixture(scope="module")
def world():
    face = Face("tropism/Chemotaxis-L0.2-v0", {"steps": STEPS})
    encoding = make_encoding("direct", make_controller("mlp", 4, 5, hidden=4))
    genomes = 0.7 * jax.random.normal(jax.random.key(0), (POPULATION, encoding.num_params))
    return face, encoding, genomes


@pytest.fixture(scope="module")
def assess(world, quick_jit):
    """``assess(genomes, setting=value, ...)``; the same settings are compiled once."""
    face, encoding, fresh = world
    compiled: dict[str, Any] = {}

    def go(genomes=fresh, **settings):
        config = EvoConfig(population=POPULATION, episodes=4, **settings)
        key = str(config.to_json())
        if key not in compiled:
            compiled[key] = quick_jit(Assessor(config, face, encoding, devices=1))
        archive = empty(config.novelty.capacity if config.novelty else 0)
        return compiled[key](jax.random.key(9), genomes, archive)

    return go


@pytest.mark.parametrize("own", [False, True])
def test_only_the_wanted_live_and_live_as_ever(world, quick_jit, own):
    face, encoding, genomes = world
    evaluate = make_evaluator(face, encoding)
    keys = keys_of_seeds(
        jnp.arange(2 * POPULATION).reshape(POPULATION, 2) if own else jnp.arange(2)
    )
    wanted = jnp.arange(POPULATION) % 4 == 1
    all_lives = quick_jit(evaluate)(genomes, keys)
    some = quick_jit(lambda w: evaluate_some(evaluate, genomes, keys, w))(wanted)
    np.testing.assert_array_equal(some.fitness[wanted], all_lives.fitness[wanted])
    assert int((some.simulated > 0).all(axis=1).sum()) == 6  # two blocks of three
    assert not some.finite[some.simulated == 0].any()


def test_any_number_of_wanted_genomes_will_do(world, quick_jit):
    face, encoding, genomes = world
    evaluate = make_evaluator(face, encoding)
    keys = keys_of_seeds(jnp.arange(2))
    live = quick_jit(lambda w: evaluate_some(evaluate, genomes, keys, w))
    for count in (0, 1, 23, 24):
        wanted = jnp.arange(POPULATION) >= POPULATION - count
        some = live(wanted)
        assert (some.steps[wanted] > 0).all()
        assert int((some.steps > 0).all(axis=1).sum()) == -(-count // 3) * 3


def test_the_lifeless_are_spared_the_full_evaluation(world, assess):
    *_, genomes = world
    dull = jnp.arange(POPULATION) >= 6
    genomes = jnp.where(dull[:, None], 0.0, genomes)  # one action for ever
    look = Viability(steps=8, min_alive=8, min_entropy=0.01)
    plain, filtered = assess(genomes), assess(genomes, viability=look)
    assert filtered.failed[dull].all()
    np.testing.assert_array_equal(filtered.full, ~filtered.failed)
    np.testing.assert_array_equal(filtered.stage == 0, filtered.failed)
    assert int(plain.simulated) == POPULATION * 4 * STEPS
    at_the_look = POPULATION * 2 * 8
    assert int(filtered.simulated) <= at_the_look + 6 * 4 * STEPS
    np.testing.assert_array_equal(filtered.fitness[filtered.full], plain.fitness[filtered.full])


def test_one_good_look_is_enough(assess):
    strict = Viability(steps=8, min_alive=8, min_entropy=0.3)
    one = assess(viability=Viability(1, 8, 8, 0.3))
    several = assess(viability=Viability(8, 8, 8, 0.3))
    assert int(several.failed.sum()) < int(one.failed.sum())
    assert strict.min_energy == 0


def test_rungs_prune_and_the_pruned_come_behind(assess):
    rungs = (Rung(steps=8, episodes=2, keep=0.5), Rung(steps=16, episodes=2, keep=0.5))
    assessed = assess(rungs=rungs)
    assert [int((assessed.stage == s).sum()) for s in (1, 2, 3)] == [12, 6, 6]
    np.testing.assert_array_equal(assessed.full, assessed.stage == 3)
    lowest = [float(assessed.fitness[assessed.stage == s].min()) for s in (1, 2, 3)]
    highest = [float(assessed.fitness[assessed.stage == s].max()) for s in (1, 2, 3)]
    assert highest[0] < lowest[1]
    assert highest[1] < lowest[2]
    for stage in (1, 2):
        among = assessed.stage == stage
        order = np.argsort(assessed.proxy[among], kind="stable")
        assert (np.diff(np.asarray(assessed.fitness[among])[order]) >= 0).all()
    assert int(assessed.simulated) == 24 * 2 * 8 + 12 * 2 * 16 + 6 * 4 * STEPS
    assert int(assessed.lived) <= int(assessed.simulated)


def test_a_genome_that_is_no_number_fails_in_every_stage(world, assess):
    *_, genomes = world
    genomes = genomes.at[5].set(NAN)
    look = Viability(steps=8, min_alive=0, min_entropy=0.0)
    assert assess(genomes, viability=look).failed[5]
    assert int(assess(genomes, rungs=(RUNG,)).stage[5]) == 1
    assert not jnp.isfinite(assess(genomes).fitness[5])


def test_promotion_is_by_score_and_a_quota_by_novelty():
    proxy = jnp.array([5.0, 4.0, 3.0, 2.0, NAN, 9.0])
    novelty = jnp.array([0.0, 0.0, 1.0, 2.0, 9.0, 9.0])
    running = jnp.array([True, True, True, True, True, False])
    by_score = promote(proxy, running, novelty, 3, 0)
    np.testing.assert_array_equal(by_score, [True, True, True, False, False, False])
    mixed = promote(proxy, running, novelty, 3, 1)
    np.testing.assert_array_equal(mixed, [True, True, False, False, True, False])
    few = promote(proxy, jnp.arange(6) == 0, novelty, 3, 1)
    np.testing.assert_array_equal(few, [True] + [False] * 5)


def test_the_quota_sends_the_novel_on(assess):
    plain = assess(rungs=(RUNG,))
    novel = assess(rungs=(RUNG,), novelty=Novelty(quota=0.5))
    assert int(novel.full.sum()) == int(plain.full.sum()) == 12
    assert (novel.full != plain.full).any()
    assert int((novel.full & plain.full).sum()) >= 6
