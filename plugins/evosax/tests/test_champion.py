from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from tropism_evosax.champion import challenge, crown, keep_luckiest, nobody
from tropism_evosax.tally import Lives

NAN = float("nan")
ALL = jnp.ones(4, bool)


def lives_of(scores):
    """Lives ``[C, 2]`` with these mean scores."""
    fitness = jnp.stack([scores - 1, scores + 1], axis=1)
    fields = {name: jnp.ones_like(fitness) for name in Lives._fields}
    return Lives(**fields | {"fitness": fitness, "finite": jnp.isfinite(fitness)})


def genomes_at(*values):
    return jnp.array(values, jnp.float32)[:, None] * jnp.ones(3)


def true_value(genomes):
    """The genome 2 is best, whatever luck says; negative ones give no number."""
    value = genomes[:, 0]
    return lives_of(jnp.where(value < 0, NAN, -jnp.abs(value - 2)))


def test_the_luckiest_is_not_crowned():
    champion = nobody(genomes_at(9)[0], 2)
    champion = challenge(champion, genomes_at(7, 2, 8, 6), jnp.array([50.0, 1, 0, 0]), ALL)
    champion = challenge(champion, genomes_at(6, 2, 8, 5), jnp.array([0.0, 30, 0, 0]), ALL)
    new, scores, _ = crown(champion, genomes_at(4)[0], jnp.int32(3), true_value)
    np.testing.assert_array_equal(new.genome, genomes_at(2)[0])
    assert float(new.score) == float(scores["best_score"]) == 0.0
    assert float(scores["mean_score"]) == -2.0
    assert int(new.generation) == 3
    assert not jnp.isfinite(new.leads).any()


def test_a_champion_that_stands_keeps_its_date():
    champion = nobody(genomes_at(2)[0], 1)
    champion, *_ = crown(champion, genomes_at(5)[0], jnp.int32(1), true_value)
    champion, *_ = crown(champion, genomes_at(4)[0], jnp.int32(2), true_value)
    assert int(champion.generation) == 1
    np.testing.assert_array_equal(champion.genome, genomes_at(2)[0])


def test_the_mean_of_the_strategy_can_be_crowned():
    champion = nobody(genomes_at(9)[0], 1)
    champion, *_ = crown(champion, genomes_at(2)[0], jnp.int32(0), true_value)
    np.testing.assert_array_equal(champion.genome, genomes_at(2)[0])


def test_free_places_are_no_candidates():
    champion = nobody(genomes_at(9)[0], 3)  # the zeros in them would beat 9 and 8
    champion, *_ = crown(champion, genomes_at(8)[0], jnp.int32(0), true_value)
    np.testing.assert_array_equal(champion.genome, genomes_at(8)[0])


def test_leads_over_the_own_generation_decide_who_challenges():
    champion = nobody(genomes_at(0)[0], 1)
    hard, easy = jnp.array([10.0, 0, 0, 0]), jnp.array([100.0, 99, 99, 99])
    champion = challenge(champion, genomes_at(1, 0, 0, 0), hard, ALL)
    champion = challenge(champion, genomes_at(3, 0, 0, 0), easy, ALL)
    np.testing.assert_array_equal(champion.challengers, genomes_at(1))


def test_what_is_no_number_never_becomes_best():
    champion = nobody(genomes_at(5)[0], 2)
    counts = jnp.array([False, True, True, True])
    champion = challenge(champion, genomes_at(-1, 3, 4, 4), jnp.array([NAN, 3, 2, 1]), counts)
    np.testing.assert_array_equal(champion.challengers[0], genomes_at(3)[0])
    champion, *_ = crown(champion, genomes_at(-1)[0], jnp.int32(0), true_value)
    np.testing.assert_array_equal(champion.genome, genomes_at(3)[0])
    again, *_ = crown(
        champion._replace(genome=genomes_at(-1)[0]), genomes_at(-1)[0], jnp.int32(1), true_value
    )
    assert float(again.score) == float(champion.score)
    assert all(
        jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(again._replace(leads=jnp.zeros(2)))
    )
    lucky = keep_luckiest(
        champion,
        genomes_at(-1, 3, 4, 4),
        jnp.array([NAN, NAN, 2, 1]),
        jnp.array([False, False, True, True]),
        jnp.int32(5),
    )
    assert float(lucky.score) == 2.0


def test_without_finalists_the_best_score_is_kept():
    champion = nobody(genomes_at(0)[0], 0)
    for generation, top in enumerate((5.0, 9.0, 7.0)):
        fitness = jnp.array([top, 0, 0, 0])
        champion = keep_luckiest(
            champion, genomes_at(top, 0, 0, 0), fitness, ALL, jnp.int32(generation)
        )
    assert float(champion.score) == 9.0
    assert int(champion.generation) == 1
