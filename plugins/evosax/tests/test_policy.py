from __future__ import annotations

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tropism.agents.contract import Task
from tropism.agents.evaluate import evaluate
from tropism.errors import ArtifactError
from tropism_evosax.evaluation import make_evaluator
from tropism_evosax.face import Face, keys_of_seeds
from tropism_evosax.genomes.registry import make_encoding
from tropism_evosax.networks.registry import make_controller
from tropism_evosax.policy import BLOCK, EvosaxPolicy
from tropism_evosax.senses import Senses

TASK = Task("tropism/Chemotaxis-L1.0-v0", {"width": 8, "steps": 48})
WALLS = Task("tropism/Chemotaxis-L1.2-v0")


def build(network="spiking", task=TASK, **options):
    """A policy of a random genome, and its genome's evaluator."""
    face = Face(task.env_id, task.kwargs)
    controller = make_controller(network, face.num_inputs, face.num_actions, **options)
    encoding = make_encoding("direct", controller)
    genome = 0.7 * jax.random.normal(jax.random.key(2), (encoding.num_params,))
    evaluator = jax.jit(make_evaluator(face, encoding))
    return EvosaxPolicy(encoding, genome, Senses.of(face.params), task), evaluator


def plastic(modulator, control="none"):
    rule = {"modulator": modulator, "eta": 0.5, "scale": 20.0, "control": control}
    return {"neurons": 12, "edges": 3, "plasticity": rule}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    directory = tmp_path_factory.mktemp("policy")
    policy, _ = build("mlp", hidden=3)
    policy.save(directory)
    return policy, directory


@pytest.mark.parametrize(
    ("network", "options"),
    [
        ("gru", {"hidden": 5}),
        ("spiking", {"neurons": 12, "edges": 3}),
        ("spiking", plastic("event")),
        ("spiking", plastic("drive", "shuffled")),
    ],
    ids=["gru", "spiking", "event", "shuffled drive"],
)
def test_a_policy_lives_the_lives_of_evolution(network, options):
    policy, evaluator = build(network, **options)
    seeds = range(100, 100 + BLOCK + 8)
    lives = evaluator(policy.genome[None], keys_of_seeds(jnp.array(seeds)))
    played = evaluate(policy, TASK, seeds)
    assert [episode.score for episode in played] == lives.fitness[0].tolist()
    assert [len(episode) for episode in played] == lives.steps[0].tolist()
    shares = [np.bincount(e.action, minlength=5) / len(e) for e in played]
    np.testing.assert_allclose([s.max() for s in shares], lives.dominant[0], rtol=1e-6)


def test_learning_changes_what_is_done():
    (policy, _), (fixed, _) = build(**plastic("event")), build(neurons=12, edges=3)
    np.testing.assert_array_equal(policy.genome, fixed.genome)
    one, other = evaluate(policy, TASK, range(40)), evaluate(fixed, TASK, range(40))
    assert [e.action_hash for e in one] != [e.action_hash for e in other]


def test_any_number_of_lanes_acts_alike():
    policy, _ = build(**plastic("event"))
    seeds = range(BLOCK + 3)
    many = [episode.action_hash for episode in evaluate(policy, TASK, seeds)]
    for lanes in (1, 5):
        assert [e.action_hash for e in evaluate(policy, TASK, seeds, lanes=lanes)] == many


def test_a_loaded_policy_acts_the_same_and_nothing_is_pickled(saved):
    policy, directory = saved
    loaded = EvosaxPolicy.load(directory, TASK)
    assert loaded.senses == policy.senses
    one, other = evaluate(policy, TASK, range(9)), evaluate(loaded, TASK, range(9))
    assert [e.action_hash for e in one] == [e.action_hash for e in other]
    assert sorted(path.name for path in directory.iterdir()) == ["genome.npz", "policy.json"]


def truncate(path):
    path.write_bytes(path.read_bytes()[:-30])


def edit(name, value):
    def change(path):
        path.write_text(json.dumps(json.loads(path.read_text()) | {name: value}))

    return change


@pytest.mark.parametrize(
    ("name", "damage", "hint"),
    [
        ("genome.npz", lambda path: path.unlink(), "genome.npz"),
        ("genome.npz", truncate, "cannot be read"),
        ("policy.json", lambda path: path.unlink(), "policy.json"),
        ("policy.json", truncate, "policy.json"),
        ("policy.json", edit("format", 99), "format is 99"),
        ("policy.json", edit("senses", {"nose": 1}), "nose"),
        ("policy.json", edit("senses", None), "damaged"),
        ("policy.json", edit("action_space", "Discrete(9)"), "action_space"),
    ],
)
def test_damage_is_refused(saved, tmp_path, name, damage, hint):
    saved[0].save(tmp_path)
    damage(tmp_path / name)
    with pytest.raises(ArtifactError, match=hint):
        EvosaxPolicy.load(tmp_path, TASK)


def test_genomes_of_other_tasks_are_refused(saved, tmp_path):
    directory = saved[1]
    with pytest.raises(ArtifactError, match="observation_space"):
        EvosaxPolicy.load(directory, WALLS)
    wide, _ = build("mlp", WALLS, hidden=3)
    wide.save(tmp_path)
    (tmp_path / "policy.json").write_bytes((directory / "policy.json").read_bytes())
    with pytest.raises(ArtifactError, match="8 inputs and 5 actions"):
        EvosaxPolicy.load(tmp_path, TASK)
