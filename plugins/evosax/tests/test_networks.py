"""What all controllers have in common, and the two controls against NumPy."""

from __future__ import annotations

import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tropism.errors import OptionError, UnknownNameError
from tropism_evosax.networks.contract import Signals
from tropism_evosax.networks.plasticity import Plasticity
from tropism_evosax.networks.registry import NETWORKS, controller_from_spec, make_controller

KEY = np.array([1, 2], np.uint32)
SOME = [
    ("spiking", {}),
    ("spiking", {"topology": "random", "plasticity": {"modulator": "event", "per_edge": True}}),
    ("spiking", {"plasticity": {"modulator": "drive", "signed": True, "control": "shuffled"}}),
    ("mlp", {}),
    ("gru", {"hidden": 3}),
]


@pytest.mark.parametrize(("name", "options"), SOME)
def test_a_controller_lives_under_jit_vmap_and_scan(name, options):
    controller = make_controller(name, 4, 5, **options)
    genomes = 0.5 * jax.random.normal(jax.random.key(0), (3, controller.num_params))
    observations = jax.random.normal(jax.random.key(1), (6, 4))

    def life(genome, key):
        weights = controller.unflatten(genome)

        def step(memory, observation):
            memory, action, logits = controller.act(weights, memory, observation)
            memory, stats = controller.learn(weights, memory, Signals(0.1, -0.2))
            return memory, (action, logits, stats)

        return jax.lax.scan(step, controller.initial(weights, key), observations)[1]

    keys = jnp.array([[1, 2], [3, 4], [5, 6]], jnp.uint32)
    action, logits, stats = jax.jit(jax.vmap(life))(genomes, keys)
    assert (action.shape, action.dtype) == ((3, 6), jnp.int32)
    assert (logits.shape, logits.dtype) == ((3, 6, 5), jnp.float32)
    np.testing.assert_array_equal(action, np.argmax(logits, -1))
    assert stats.change.shape == (3, 6)
    assert bool(stats.change.any()) == controller.plastic
    alone, alone_logits, _ = jax.jit(life)(genomes[1], keys[1])
    np.testing.assert_array_equal(alone, action[1])
    np.testing.assert_allclose(alone_logits, logits[1], atol=1e-5)


@pytest.mark.parametrize(("name", "options"), SOME)
def test_a_controller_can_be_built_from_its_spec(name, options):
    controller = make_controller(name, 4, 5, **options)
    again = controller_from_spec(json.loads(json.dumps(controller.spec())))
    assert again == controller
    assert hash(again) == hash(controller)
    assert controller.fixed().num_params == controller.num_params


def test_the_perceptron_is_numpys():
    controller = make_controller("mlp", 4, 5)
    genome = np.random.default_rng(0).normal(0, 1, controller.num_params).astype(np.float32)
    x = np.array([0.3, -0.2, 0.9, 0.5], np.float32)
    first, offset, motor, bias = np.split(genome, np.cumsum([64, 16, 80]))
    expected = motor.reshape(5, 16) @ np.tanh(first.reshape(16, 4) @ x + offset) + bias
    weights = controller.unflatten(jnp.asarray(genome))
    _, _, logits = controller.act(weights, controller.initial(weights, KEY), x)
    np.testing.assert_allclose(logits, expected, atol=1e-5)


def test_the_gated_unit_is_torchs():
    torch = pytest.importorskip("torch")
    controller = make_controller("gru", 4, 5, hidden=6)
    genome = jnp.asarray(np.random.default_rng(0).normal(0, 1, controller.num_params), jnp.float32)
    weights = controller.unflatten(genome)
    cell = torch.nn.GRUCell(4, 6)
    zeros, tensor = np.zeros(12, np.float32), lambda x: torch.from_numpy(np.array(x))
    with torch.no_grad():
        cell.weight_ih.copy_(tensor(weights.inputs))
        cell.weight_hh.copy_(tensor(weights.recurrent))
        cell.bias_ih.copy_(tensor(weights.offset))
        cell.bias_hh.copy_(tensor(np.concatenate([zeros, weights.inner])))
        hidden, memory = torch.zeros(1, 6), controller.initial(weights, KEY)
        for x in np.random.default_rng(1).normal(0, 1, (5, 4)).astype(np.float32):
            hidden = cell(tensor(x)[None], hidden)
            memory, _, _ = controller.act(weights, memory, x)
    np.testing.assert_allclose(memory, hidden[0], atol=1e-5)


def test_numbers_of_genes_are_comparable():
    genes = {name: make_controller(name, 4, 5).num_params for name in NETWORKS}
    assert genes == {"spiking": 581, "mlp": 165, "gru": 599}
    assert make_controller("mlp", 4, 5, hidden=58).num_params == 585


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [
        ("spiking", "num_inputs", 0),
        ("spiking", "num_actions", 1.5),
        ("spiking", "neurons", 1),
        ("spiking", "edges", 32),
        ("spiking", "tau", 0.0),
        ("spiking", "theta", float("nan")),
        ("spiking", "topology_seed", -1),
        ("mlp", "hidden", 0),
        ("gru", "hidden", True),
    ],
)
def test_values_out_of_range_are_named(name, field, value):
    sizes = {"num_inputs": 4, "num_actions": 5}
    with pytest.raises(OptionError, match=f"^{field} must .*got {re.escape(repr(value))}$"):
        NETWORKS[name](**{**sizes, field: value})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("eta", -0.1),
        ("decay", 1.0),
        ("max_weight", 0.0),
        ("scale", float("inf")),
        ("per_edge", 1),
        ("signed", "no"),
    ],
)
def test_values_of_the_plasticity_out_of_range_are_named(field, value):
    with pytest.raises(OptionError, match=f"^{field} must .*got {re.escape(repr(value))}$"):
        Plasticity(**{field: value})


def test_names_that_do_not_exist_are_answered_with_the_nearest():
    with pytest.raises(UnknownNameError, match="'spiking'"):
        make_controller("spikin", 4, 5)
    with pytest.raises(UnknownNameError, match="'circulant'"):
        make_controller("spiking", 4, 5, topology="circular")
    with pytest.raises(UnknownNameError, match="'neurons'"):
        make_controller("spiking", 4, 5, neuron=3)
    with pytest.raises(UnknownNameError, match="'event'"):
        Plasticity("events")
    with pytest.raises(UnknownNameError, match="'shuffled'"):
        Plasticity(control="shuffle")


def test_specs_of_another_version_are_refused():
    spec = make_controller("mlp", 4, 5).spec()
    with pytest.raises(OptionError, match="version of a controller must be 1, got 2"):
        controller_from_spec({**spec, "version": 2})
    del spec["num_inputs"]
    with pytest.raises(OptionError, match="must have 'num_inputs'"):
        controller_from_spec(spec)
