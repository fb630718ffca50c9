"""Encodings: what is common to all, and the indirect one against a restatement neuron by neuron."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tropism.errors import OptionError, UnknownNameError
from tropism_evosax.genomes.contract import INITIAL_STD, sample
from tropism_evosax.genomes.cppn import CPPN, SCALES
from tropism_evosax.genomes.registry import ENCODINGS, encoding_from_spec, make_encoding
from tropism_evosax.networks.contract import Signals
from tropism_evosax.networks.registry import make_controller

KEY = np.array([1, 2], np.uint32)
EVENT = {"modulator": "event", "scale": 10.0}


def cppn(neurons: int = 32, edges: int = 8, plasticity: Any = None, **options: Any) -> Any:
    network = make_controller(
        "spiking",
        4,
        5,
        topology="lattice",
        neurons=neurons,
        edges=edges,
        plasticity=plasticity or {},
    )
    return make_encoding("cppn", network, **options)


def same(one, other):
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)


def grown_by_hand(encoding, genome):
    """(identity, {(source, target): (connected, weight, eta gene, decay gene)}, loadings), in double precision."""
    network, h, d = encoding.controller, encoding.hidden, encoding.identity
    shapes = [(4, h), (h, d), (d, h), (d, h), (4, h), (h + 1, 4), (d + 1, h), (h + 1, 10), (5,)]
    cuts = np.cumsum([math.prod(shape) for shape in shapes])[:-1]
    place, identify, source, target, way, pair, role, loading, _ = (
        part.reshape(shape)
        for part, shape in zip(np.split(np.float64(genome), cuts), shapes, strict=True)
    )
    n, columns = network.neurons, round(math.sqrt(network.neurons))
    rows = (n - 1) // columns
    identities, loadings, edges = [], [], {}
    for i in range(n):
        y, x = 2 * (i // columns) / rows - 1, 2 * (i % columns) / (columns - 1) - 1
        a = np.array([x, y, math.hypot(x, y), 1.0]) @ place
        kinds = np.array_split(np.arange(h), 4)
        functions = (np.sin, lambda z: np.exp(-z * z), np.tanh, lambda z: z)
        a = np.concatenate([f(a[k]) for f, k in zip(functions, kinds, strict=True)])
        identities.append(np.tanh(a @ identify))
        units = np.tanh(identities[i] @ role[:-1] + role[-1])
        loadings.append(units @ loading[:-1] + loading[-1])
    steps = [(r, c) for r in (-1, 0, 1) for c in (-1, 0, 1) if (r, c) != (0, 0)]
    for i in range(n):
        for r, c in steps:
            j = (i + r * columns + c) % n
            path = np.array([r, c, math.hypot(r, c)]) / math.sqrt(2)
            units = np.tanh(
                identities[i] @ source + identities[j] @ target + path @ way[:-1] + way[-1]
            )
            logit, weight, eta, decay = units @ pair[:-1] + pair[-1]
            edges[i, j] = (logit > 0, 3 * math.tanh(weight / 3), eta, decay)
    return edges, np.array(loadings)


def test_development_is_what_it_says():
    rule = {**EVENT, "per_edge": True, "eta": 0.2, "decay": 0.5}
    encoding = cppn(neurons=25, plasticity=rule, identity=3)
    genome = np.asarray(sample(encoding, jax.random.key(5), 1)[0])
    weights = jax.jit(encoding.develop)(genome)
    edges, loadings = grown_by_hand(encoding, genome)
    np.testing.assert_allclose(weights.inputs, loadings[:, :4].T, atol=1e-5)
    np.testing.assert_allclose(weights.motor, loadings[:, 4:9].T, atol=1e-5)
    np.testing.assert_allclose(weights.judge, loadings[:, 9], atol=1e-5)
    np.testing.assert_array_equal(weights.bias, genome[-5:])
    found = zip(*encoding.controller.wiring.edges(), strict=True)
    expected = [edges[source, target] for source, target in found]
    connected, weight, eta, decay = (np.array(column) for column in zip(*expected, strict=True))
    assert 0 < connected.sum() < len(connected)
    np.testing.assert_allclose(weights.edges.ravel(), weight * connected, atol=1e-5)
    np.testing.assert_allclose(
        weights.rates.eta.ravel(), 0.2 * (1 + 10 * eta) * connected, atol=1e-5
    )
    np.testing.assert_allclose(
        weights.rates.decay.ravel(), np.clip(0.5 + decay, 0, 0.999), atol=1e-5
    )


def test_the_same_genome_grows_into_the_same_bits_alone_and_in_company():
    encoding = cppn(plasticity=EVENT)
    genomes = sample(encoding, jax.random.key(0), 12)
    alone, together = jax.jit(encoding.develop), jax.jit(jax.vmap(encoding.develop))
    everyone = together(genomes)
    assert same(everyone, jax.jit(jax.vmap(cppn(plasticity=EVENT).develop))(genomes))
    assert same(together(genomes[:5]), jax.tree.map(lambda leaf: leaf[:5], everyone))
    for i in range(0, 12, 4):
        assert same(alone(genomes[i]), jax.tree.map(lambda leaf, i=i: leaf[i], everyone))


def test_genomes_do_not_grow_with_the_network():
    assert {
        cppn(neurons=n, edges=k).num_params for n in (32, 64, 128, 256, 512) for k in (4, 8)
    } == {313}
    assert make_encoding("direct", cppn(neurons=512).controller).num_params == 9221


def test_declined_edges_never_learn():
    encoding = cppn(plasticity={**EVENT, "eta": 1.0})
    network = encoding.controller
    weights = jax.jit(encoding.develop)(sample(encoding, jax.random.key(2), 1)[0])

    def step(memory, t):
        memory, _, _ = network.act(weights, memory, 3.0 * jnp.sin(t * jnp.arange(1.0, 5.0)))
        return network.learn(weights, memory, Signals(0.0, 0.5))

    memory, _ = jax.lax.scan(step, network.initial(weights, KEY), jnp.arange(40.0))
    learned, declined = np.asarray(memory.traces.weights), np.asarray(weights.edges) == 0
    assert declined.any()
    assert not learned[declined].any()
    assert (learned != weights.edges).any()


def test_fixed_networks_carry_no_rates():
    assert cppn().develop(jnp.zeros(313)).rates is None
    per_edge = cppn(plasticity={"per_edge": True})
    assert per_edge.develop(jnp.zeros(per_edge.num_params)).rates is None


def test_weights_stay_bounded_for_wild_genomes():
    encoding = cppn(plasticity={"max_weight": 2.0})
    weights = encoding.develop(100.0 * sample(encoding, jax.random.key(0), 1)[0])
    assert np.abs(weights.edges).max() <= 2.0
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(weights))


def test_a_first_population_spreads_like_the_direct_one():
    encoding = cppn()
    genomes = sample(encoding, jax.random.key(0), 256)
    weights = jax.jit(jax.vmap(encoding.develop))(genomes)
    spread = {name: float(getattr(weights, name).std(-1).mean()) for name in ("inputs", "motor")}
    assert all(0.05 < value < 0.3 for value in spread.values()), spread
    assert 0.3 < float((weights.edges != 0).mean()) < 0.7


@pytest.mark.parametrize("name", ENCODINGS)
def test_scales_belong_to_every_gene(name):
    encoding = make_encoding(name, cppn().controller)
    assert encoding.scales.shape == (encoding.num_params,)
    assert encoding.scales.dtype == np.float32
    genomes = sample(encoding, jax.random.key(0), 4000)
    assert (genomes.shape, genomes.dtype) == ((4000, encoding.num_params), jnp.float32)
    np.testing.assert_allclose(genomes.std(0), INITIAL_STD * encoding.scales, rtol=0.1)


def test_every_group_of_genes_has_a_scale():
    assert SCALES.keys() == cppn().shapes.keys()


@pytest.mark.parametrize("network", ["spiking", "mlp", "gru"])
def test_the_direct_encoding_is_the_controllers_own(network):
    controller = make_controller(network, 4, 5)
    encoding = make_encoding("direct", controller)
    genome = sample(encoding, jax.random.key(0), 1)[0]
    assert same(encoding.develop(genome), controller.unflatten(genome))


@pytest.mark.parametrize(
    "encoding",
    [cppn(), cppn(plasticity={**EVENT, "per_edge": True}, hidden=5, identity=2)]
    + [make_encoding("direct", make_controller(name, 3, 2)) for name in ("spiking", "gru")],
    ids=lambda encoding: f"{encoding.name}-{encoding.controller.name}-{encoding.num_params}",
)
def test_an_encoding_can_be_built_from_its_spec(encoding):
    spec = json.loads(json.dumps(encoding.spec()))
    again = encoding_from_spec(spec)
    assert again == encoding
    assert hash(again) == hash(encoding)
    with pytest.raises(OptionError, match="version of an encoding must be 1, got 7"):
        encoding_from_spec({**spec, "version": 7})
    with pytest.raises(OptionError, match=f"num_params must be {encoding.num_params}, got 3"):
        encoding_from_spec({**spec, "num_params": 3})
    with pytest.raises(OptionError, match="must have 'encoding' and 'controller'"):
        encoding_from_spec({"version": 1})


def test_what_does_not_fit_is_refused():
    with pytest.raises(OptionError, match=r"shape \(313,\), got \(312,\)"):
        cppn().develop(jnp.zeros(312))
    others: list[Any] = [make_controller(name, 4, 5) for name in ("mlp", "spiking")]
    for network in others:
        with pytest.raises(
            OptionError, match=r"controller .*topology 'lattice', got '.*' of topology"
        ):
            CPPN(network)
    wrong: list[tuple[str, Any]] = [("hidden", 3), ("identity", 0), ("hidden", 8.0)]
    for field, value in wrong:
        with pytest.raises(OptionError, match=f"^{field} must .*got {re.escape(repr(value))}$"):
            cppn(**{field: value})
    with pytest.raises(UnknownNameError, match="'cppn'"):
        make_encoding("cpn", cppn().controller)
    with pytest.raises(UnknownNameError, match="'identity'"):
        cppn(identities=3)
