from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tropism_evosax.networks.contract import Signals
from tropism_evosax.networks.plasticity import MAX_DECAY, Plasticity
from tropism_evosax.networks.spiking import Spiking

KEY = np.array([1, 2], np.uint32)


def genome_of(network, seed=0, std=0.5):
    values = np.random.default_rng(seed).normal(0, std, network.num_params)
    return jnp.asarray(values.astype(np.float32))


def live(network, steps, key=KEY, seed=0, std=0.5):
    """Memory and statistics, [steps], of a life among uniform noise with a signal every fourth step."""
    weights = network.unflatten(genome_of(network, seed, std))

    def step(memory, t):
        wave = jnp.sin(t * jnp.array([0.7, 1.1, 1.9, 2.3]))
        memory, _, _ = network.act(weights, memory, 2.0 * wave)
        event = jnp.where(t % 4 == 0, jnp.where(t % 8 == 0, 0.5, -0.5), 0.0)
        memory, stats = network.learn(weights, memory, Signals(wave[0], event))
        return memory, stats

    ticks = jnp.arange(steps, dtype=jnp.float32)
    return jax.jit(lambda: jax.lax.scan(step, network.initial(weights, jnp.asarray(key)), ticks))()


def test_switched_off_nothing_is_kept_traced_or_changed():
    network = Spiking(4, 5)
    weights = network.unflatten(genome_of(network))
    memory = network.initial(weights, KEY)
    assert memory.traces is None
    traced = jax.make_jaxpr(lambda m, s: network.learn(weights, m, s))(memory, Signals(0.1, 0.2))
    assert not traced.eqns
    after, stats = network.learn(weights, memory, Signals(0.1, 0.2))
    assert after is memory
    assert stats == (0, 0)


@pytest.mark.parametrize("modulator", ["spike", "drive", "event"])
@pytest.mark.parametrize("levers", [{}, {"per_edge": True, "signed": True}])
def test_weights_stay_bounded_and_finite(modulator, levers):
    rule = Plasticity(modulator, eta=1.0, scale=10.0, **levers)
    memory, stats = live(Spiking(4, 5, plasticity=rule), 100_000, std=1.0)
    weights, eligibility = memory.traces.weights, memory.traces.eligibility
    assert np.abs(weights).max() <= rule.max_weight
    assert np.abs(eligibility).max() <= 1 / (1 - MAX_DECAY) + 1
    assert np.isfinite(stats.change).all()
    assert stats.change.max() > 0
    assert np.isfinite(memory.potential).all()


def test_a_rate_of_zero_moves_nothing():
    memory, stats = live(Spiking(4, 5, plasticity=Plasticity("event", eta=0.0)), 50)
    network = Spiking(4, 5)
    np.testing.assert_array_equal(
        memory.traces.weights, network.unflatten(genome_of(network)).edges
    )
    assert not stats.change.any()


def test_the_fixed_control_takes_the_same_genome():
    network = Spiking(4, 5, plasticity=Plasticity("event", per_edge=True))
    fixed = network.fixed()
    assert not fixed.plastic
    assert fixed.num_params == network.num_params
    assert fixed.unflatten(genome_of(network)).edges.shape == (8, 32)


def test_genes_of_zero_give_the_rates_of_the_rule():
    rule = Plasticity("event", eta=0.2, decay=0.8, per_edge=True)
    network = Spiking(4, 5, topology="random", plasticity=rule)
    rates = network.unflatten(jnp.zeros(network.num_params)).rates
    assert rates is not None
    mask = np.asarray(network.wiring.pair(jnp.ones(32), jnp.ones(32)), bool)
    np.testing.assert_allclose(rates.eta[mask], 0.2)
    np.testing.assert_allclose(rates.decay[mask], 0.8)


def test_shuffling_keeps_sizes_and_times_and_loses_the_sign():
    rule = Plasticity("event", scale=2.0)
    true = live(Spiking(4, 5, plasticity=rule), 4000)[1].modulator
    network = Spiking(4, 5, plasticity=replace(rule, control="shuffled"))
    first, again = (live(network, 4000)[1].modulator for _ in range(2))
    other = live(network, 4000, key=np.array([1, 3], np.uint32))[1].modulator
    np.testing.assert_array_equal(np.abs(first), np.abs(true))
    np.testing.assert_array_equal(first, again)
    for modulator in (first, other):
        kept = np.sign(modulator[true != 0]) == np.sign(true[true != 0])
        assert 0.45 < kept.mean() < 0.55
    assert not np.array_equal(first, other)


def test_an_event_moves_exactly_the_edges_that_coincided():
    network = Spiking(
        1, 2, neurons=3, edges=1, topology="circulant", plasticity=Plasticity("event")
    )
    source, target = network.wiring.edges()
    genome = np.zeros(network.num_params, np.float32)
    genome[:3] = [2.0, 0.0, 2.0]  # neurons 0 and 2 fire, 1 is silent
    weights = network.unflatten(jnp.asarray(genome))
    memory = network.initial(weights, KEY)
    for _ in range(2):
        memory, _, _ = network.act(weights, memory, jnp.ones(1))
    memory, stats = network.learn(weights, memory, Signals(0.0, 1.0))
    assert memory.traces is not None
    expected = np.isin(source, [0, 2]) & np.isin(target, [0, 2])
    moved = np.asarray(memory.traces.weights).ravel()
    np.testing.assert_array_equal(moved != 0, expected)
    np.testing.assert_allclose(moved[expected], 0.05 * np.tanh(1.0), rtol=1e-6)
    np.testing.assert_allclose(stats.modulator, np.tanh(1.0), rtol=1e-6)
