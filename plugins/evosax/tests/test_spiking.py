"""The spiking network against a restatement in plain Python that adds edge by edge."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tropism.errors import OptionError
from tropism_evosax.networks.contract import Signals
from tropism_evosax.networks.plasticity import MODULATORS, Plasticity, Traces
from tropism_evosax.networks.spiking import Spiking, SpikingMemory
from tropism_evosax.networks.topology import (
    TOPOLOGIES,
    circulant_offsets,
    lattice_columns,
    lattice_neighbours,
    random_targets,
)
from tropism_evosax.networks.wiring import Dense

KEY = np.array([1, 2], np.uint32)
RULES = {
    "off": Plasticity(),
    "spike": Plasticity("spike"),
    "drive": Plasticity("drive", scale=5.0),
    "event": Plasticity("event", eta=0.5, max_weight=0.6),
    "per_edge": Plasticity("event", per_edge=True),
    "signed": Plasticity("event", signed=True),
}


def by_edge(network, array):
    """An array of the wiring as one number an edge, in the order of the genes."""
    array = np.asarray(array, np.float64)
    return array[network.wiring.edges()] if isinstance(network.wiring, Dense) else array.ravel()


class Oracle:
    """koki2's equations, scatter-add included; floats are double."""

    def __init__(self, network, genome, memory):
        n, e = network.neurons, network.neurons * network.edges
        parts = np.split(
            np.asarray(genome, np.float64),
            np.cumsum([network.num_inputs * n, e, network.num_actions * n, network.num_actions, n]),
        )
        self.network, self.rule = network, network.plasticity
        self.inputs, self.edges = parts[0].reshape(-1, n), parts[1]
        self.motor, self.bias, self.judge = parts[2].reshape(-1, n), parts[3], parts[4]
        self.eta, self.decay = self.rule.eta, self.rule.decay
        if self.rule.per_edge:
            self.eta = self.rule.eta * (1 + 10 * parts[5][:e])
            self.decay = np.clip(self.rule.decay + parts[5][e:], 0, 0.999)
        self.v, self.s = (np.asarray(x, np.float64) for x in memory[:2])
        self.w, self.e = self.edges, np.zeros(e)
        if memory.traces is not None:
            self.w = by_edge(network, memory.traces.weights)
            self.e = by_edge(network, memory.traces.eligibility)
            self.mean = np.zeros(n) if memory.traces.mean is None else memory.traces.mean
            self.mean = np.asarray(self.mean, np.float64)

    def step(self, observation, drive, event):
        source, target = self.network.wiring.edges()
        current = observation @ self.inputs
        np.add.at(current, target, self.w * self.s[source])
        v = self.v * math.exp(-1 / self.network.tau) + current
        spikes = (v > self.network.theta).astype(float)
        self.margin = np.abs(v - self.network.theta).min()
        self.v, before, self.s = v - spikes * self.network.theta, self.s, spikes
        logits = self.motor @ spikes + self.bias
        if self.rule.on:
            self._learn(before[source], spikes, target, drive, event)
        return int(np.argmax(logits)), logits

    def _learn(self, pre, spikes, target, drive, event):
        post = spikes
        if self.rule.signed:
            self.mean = self.rule.decay * self.mean + (1 - self.rule.decay) * spikes
            post = spikes - self.mean
        self.e = self.decay * self.e + pre * post[target]
        source = {"spike": self.judge @ spikes, "drive": drive, "event": event}
        self.m = math.tanh(self.rule.scale * source[self.rule.modulator])
        bound = self.rule.max_weight
        self.w = np.clip(self.w + self.eta * self.m * self.e, -bound, bound)


def random_state(network, weights, generator):
    """A memory as in the middle of a life."""
    n, rule = network.neurons, network.plasticity
    memory = network.initial(weights, KEY)
    traces = memory.traces
    if traces is not None:
        eligibility = network.wiring.arrange(generator.uniform(0, 5, n * network.edges))
        mean = None if traces.mean is None else generator.uniform(0, 1, n).astype(np.float32)
        traces = Traces(
            jnp.clip(traces.weights, -rule.max_weight, rule.max_weight),
            jnp.asarray(eligibility, jnp.float32),
            mean,
            traces.clock,
        )
    potential = generator.normal(0, 1, n).astype(np.float32)
    return SpikingMemory(potential, (generator.random(n) < 0.5).astype(np.float32), traces)


@pytest.mark.parametrize("topology", TOPOLOGIES)
@pytest.mark.parametrize("rule", RULES)
def test_one_step_is_the_oracles(topology, rule):
    network = Spiking(4, 5, topology=topology, topology_seed=3, plasticity=RULES[rule])
    generator = np.random.default_rng(7)

    @jax.jit
    def step(genome, memory, observation, signals):
        weights = network.unflatten(genome)
        memory, action, logits = network.act(weights, memory, observation)
        memory, stats = network.learn(weights, memory, signals)
        return memory, action, logits, stats

    for _ in range(20):
        genome = generator.normal(0, 0.5, network.num_params).astype(np.float32)
        memory = random_state(network, network.unflatten(jnp.asarray(genome)), generator)
        oracle = Oracle(network, genome, memory)
        observation = generator.uniform(-1, 1, 4).astype(np.float32)
        drive, event = np.float32(generator.normal()), np.float32(generator.normal())
        after, action, logits, stats = step(genome, memory, observation, Signals(drive, event))
        expected, expected_logits = oracle.step(np.float64(observation), drive, event)
        assert oracle.margin > 1e-5  # else rounding may decide, and this test must not
        np.testing.assert_array_equal(after.spikes, oracle.s)
        np.testing.assert_allclose(after.potential, oracle.v, atol=1e-5)
        np.testing.assert_allclose(logits, expected_logits, atol=1e-5)
        assert action == expected
        if memory.traces is not None:
            before = by_edge(network, memory.traces.weights)
            np.testing.assert_allclose(
                by_edge(network, after.traces.eligibility), oracle.e, atol=1e-5
            )
            np.testing.assert_allclose(by_edge(network, after.traces.weights), oracle.w, atol=1e-5)
            np.testing.assert_allclose(stats.modulator, oracle.m, atol=1e-5)
            np.testing.assert_allclose(stats.change, np.abs(oracle.w - before).mean(), atol=1e-5)


def test_a_whole_life_is_the_oracles():
    network = Spiking(4, 5, topology="random", plasticity=Plasticity("event", scale=4.0))
    generator = np.random.default_rng(1)
    genome = generator.normal(0, 0.5, network.num_params).astype(np.float32)
    weights = network.unflatten(jnp.asarray(genome))
    memory = network.initial(weights, KEY)
    oracle = Oracle(network, genome, memory)
    actions = set()
    for _ in range(60):
        observation = generator.uniform(-1, 1, 4).astype(np.float32)
        memory, action, _ = network.act(weights, memory, observation)
        event = np.float32(generator.choice([0.0, 0.05, -0.25]))
        memory, _ = network.learn(weights, memory, Signals(np.float32(0), event))
        assert int(action) == oracle.step(np.float64(observation), 0.0, event)[0]
        actions.add(int(action))
    assert memory.traces is not None
    np.testing.assert_allclose(by_edge(network, memory.traces.weights), oracle.w, atol=1e-4)
    assert len(actions) > 1


def test_genes_are_as_many_as_the_origins():
    assert Spiking(4, 5).num_params == 581
    assert Spiking(4, 5, plasticity=Plasticity("event", per_edge=True)).num_params == 581 + 512


@pytest.mark.parametrize("topology", TOPOLOGIES)
@pytest.mark.parametrize(("neurons", "edges"), [(2, 1), (5, 4), (31, 8), (32, 8), (50, 3)])
def test_every_neuron_has_distinct_targets_and_none_is_itself(topology, neurons, edges):
    network = Spiking(1, 2, neurons=neurons, edges=edges, topology=topology, topology_seed=9)
    source, target = network.wiring.edges()
    assert len(set(zip(source.tolist(), target.tolist(), strict=True))) == neurons * edges
    assert not (source == target).any()
    np.testing.assert_array_equal(np.bincount(source), edges)


@pytest.mark.parametrize("seed", range(5))
def test_on_a_circulant_graph_every_neuron_reaches_every_other(seed):
    (offset,) = circulant_offsets(12, 1, seed)
    assert {i * offset % 12 for i in range(12)} == set(range(12))


def test_random_targets_are_the_origins():
    """The first rows as koki2's ``make_dev_config(topology_seed=0)`` draws them."""
    generator = np.random.default_rng(0)
    everyone = np.arange(32)
    first = generator.choice(everyone[everyone != 0], size=(8,), replace=False)
    np.testing.assert_array_equal(random_targets(32, 8, 0)[0], first)
    assert not np.array_equal(random_targets(32, 8, 0), random_targets(32, 8, 1))


def test_the_lattice_connects_neighbours():
    neighbours = lattice_neighbours(36, 8)
    assert lattice_columns(36) == 6
    assert {tuple(step) for step in neighbours.steps.tolist()} == {
        (r, c) for r in (-1, 0, 1) for c in (-1, 0, 1) if (r, c) != (0, 0)
    }
    np.testing.assert_array_equal(
        neighbours.offsets, (neighbours.steps @ np.array([6, 1])).astype(int) % 36
    )


def test_equal_logits_go_to_the_lowest_index():
    network = Spiking(3, 4)
    weights = network.unflatten(jnp.zeros(network.num_params))
    memory, action, logits = network.act(weights, network.initial(weights, KEY), jnp.zeros(3))
    assert int(action) == 0
    assert not logits.any()
    assert not memory.spikes.any()


def test_many_inputs_take_another_way_to_the_same_sum():
    generator = np.random.default_rng(0)
    for inputs in (16, 17):
        network = Spiking(inputs, 2)
        genome = generator.normal(0, 0.5, network.num_params).astype(np.float32)
        weights = network.unflatten(jnp.asarray(genome))
        memory = network.initial(weights, KEY)
        observation = generator.normal(0, 1, inputs).astype(np.float32)
        oracle = Oracle(network, genome, memory)
        after, _, _ = network.act(weights, memory, observation)
        oracle.step(np.float64(observation), 0, 0)
        np.testing.assert_allclose(after.potential, oracle.v, atol=1e-5)


def test_a_genome_of_another_shape_is_refused():
    network = Spiking(4, 5)
    with pytest.raises(OptionError, match=r"shape \(581,\), got \(3, 581\)"):
        network.unflatten(jnp.zeros((3, 581)))


def test_modulators_are_all_tried_here():
    assert {rule.modulator for rule in RULES.values()} == set(MODULATORS)
