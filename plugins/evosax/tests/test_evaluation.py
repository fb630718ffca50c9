from __future__ import annotations

from functools import partial

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import tropism.envs  # noqa: F401  registers the ids
from tropism.envs.core.random import seed_key
from tropism.errors import UnsupportedTaskError
from tropism_evosax.evaluation import make_evaluator
from tropism_evosax.face import Face, keys_of_seeds
from tropism_evosax.genomes.registry import make_encoding
from tropism_evosax.networks.registry import make_controller

L02, L11 = "tropism/Chemotaxis-L0.2-v0", "tropism/Chemotaxis-L1.1-v0"
SEEDS = (7, 424242, 2**31 + 5)


@pytest.fixture
def quick(quick_jit):
    """As :func:`build`, but compiled in less than half the time."""
    return partial(build, jit=quick_jit)


def build(env_id=L02, network="mlp", env=None, steps=None, chunk=16, jit=jax.jit, **options):
    face = Face(env_id, env)
    controller = make_controller(network, face.num_inputs, face.num_actions, **options)
    encoding = make_encoding("direct", controller)
    evaluate = jit(make_evaluator(face, encoding, steps=steps, chunk=chunk))
    genomes = 0.7 * jax.random.normal(jax.random.key(5), (4, encoding.num_params))
    return evaluate, genomes, encoding


def play(env_id, encoding, genome, seed, **kwargs):
    """One life through ``gym.make``, step by step: return, steps, last info, actions."""
    controller = encoding.controller
    weights = encoding.develop(genome)
    memory = controller.initial(weights, jnp.array(seed_key(seed), jnp.uint32))
    act = jax.jit(controller.act)
    env = gymnasium.make(env_id, **kwargs)
    observation, info = env.reset(seed=seed)
    total, actions, ended = 0.0, [], False
    while not ended:
        memory, action, _ = act(weights, memory, observation)
        observation, reward, terminated, truncated, info = env.step(int(action))
        total, ended = total + float(reward), terminated or truncated
        actions.append(int(action))
    return total, actions, info


def test_seeds_give_the_keys_of_reset():
    keys = keys_of_seeds(jnp.array(SEEDS, jnp.uint32))
    assert [tuple(map(int, key)) for key in keys] == [seed_key(seed) for seed in SEEDS]


@pytest.mark.parametrize("env_id", [L02, L11])
def test_lives_are_those_of_gym_make(env_id):
    evaluate, genomes, encoding = build(env_id, hidden=5)
    lives = evaluate(genomes, keys_of_seeds(jnp.array(SEEDS, jnp.uint32)))
    for p, e in ((0, 0), (1, 1), (2, 2), (3, 0)):
        total, actions, info = play(env_id, encoding, genomes[p], SEEDS[e])
        share = np.bincount(actions, minlength=5) / len(actions)
        assert float(lives.fitness[p, e]) == total == info["fitness"]
        assert int(lives.steps[p, e]) == len(actions) == info["t_alive"]
        assert int(lives.good_arrivals[p, e]) == info["good_arrivals"]
        assert int(lives.bad_arrivals[p, e]) == info["bad_arrivals"]
        assert bool(lives.reached[p, e]) == info["reached"]
        assert float(lives.energy[p, e]) == pytest.approx(info["energy_units"] / 6400)
        assert float(lives.integrity_min[p, e]) == pytest.approx(info["integrity_min"] / 6400)
        assert float(lives.dominant[p, e]) == pytest.approx(share.max())
        entropy = -sum(s * np.log(s) for s in share if s)
        assert float(lives.entropy[p, e]) == pytest.approx(entropy, abs=1e-5)


def test_common_and_own_episodes_are_the_same_lives(quick):
    evaluate, genomes, _ = quick()
    keys = keys_of_seeds(jnp.arange(3))
    common, own = evaluate(genomes, keys), evaluate(genomes, jnp.stack([keys] * len(genomes)))
    for name, field in common._asdict().items():
        np.testing.assert_allclose(field, getattr(own, name), atol=1e-6, err_msg=name)


def test_looking_for_survivors_changes_nothing():
    every_step, genomes, _ = build(chunk=3, env={"steps": 32})
    at_the_end, *_ = build(chunk=128, env={"steps": 32})
    keys = keys_of_seeds(jnp.arange(4))
    lives, others = every_step(genomes, keys), at_the_end(genomes, keys)
    np.testing.assert_array_equal(lives.fitness, others.fitness)
    np.testing.assert_array_equal(lives.steps, others.steps)


def test_the_loop_ends_when_everybody_is_dead(quick):
    evaluate, genomes, _ = quick(env={"energy_decay": 0.1, "energy_gain": 0.0}, chunk=4)
    lives = evaluate(genomes, keys_of_seeds(jnp.arange(2)))
    assert (lives.steps == 10).all()
    assert (lives.simulated == 12).all()
    assert (lives.energy == 0).all()


def test_a_horizon_cuts_lives_short(quick):
    evaluate, genomes, _ = quick(steps=20)
    lives = evaluate(genomes, keys_of_seeds(jnp.arange(2)))
    assert (lives.steps == 20).all()
    assert (lives.simulated == 32).all()  # whole chunks are computed; the rest is masked
    assert (lives.fitness >= 20).all()


def test_learning_is_reported_where_there_is_any(quick):
    plastic = {"modulator": "event", "eta": 0.5, "scale": 20.0}
    evaluate, genomes, _ = quick(L11, "spiking", plasticity=plastic)
    fixed, *_ = quick(L11, "spiking")
    keys = keys_of_seeds(jnp.arange(8))
    lives, others = evaluate(genomes, keys), fixed(genomes, keys)
    eventful = lives.good_arrivals + lives.bad_arrivals > 0
    assert eventful.any()
    assert (lives.event_share[eventful] > 0).all()
    assert (lives.event_share[~eventful] == 0).all()
    assert (lives.change[eventful] > 0).any()
    assert (lives.modulator[eventful] > 0).all()
    assert (others.change == 0).all()
    assert (others.modulator == 0).all()
    np.testing.assert_allclose(
        lives.event_change[eventful] * lives.event_share[eventful],
        lives.change[eventful],  # the event modulator moves weights at events only
        rtol=1e-4,
        atol=1e-7,
    )


def test_the_drive_reaches_a_network_that_learns_from_it(quick):
    evaluate, genomes, _ = quick(
        L11, "spiking", plasticity={"modulator": "drive", "eta": 0.5, "scale": 20.0}
    )
    lives = evaluate(genomes, keys_of_seeds(jnp.arange(8)))
    assert (lives.modulator > 0).all()  # hunger grows every step, so the drive does


def test_numbers_that_overflow_are_noticed(quick):
    evaluate, genomes, _ = quick("tropism/Chemotaxis-L0.2-v0", env={"steps": 16})
    lives = evaluate(genomes.at[1, 3].set(jnp.nan), keys_of_seeds(jnp.arange(2)))
    np.testing.assert_array_equal(lives.finite.all(axis=1), [True, False, True, True])


def test_any_flat_functional_face_will_do(quick):
    evaluate, genomes, _ = quick(
        "tropism/PatternWorld-Switch-v0", env={"flat": True}, steps=24, hidden=3
    )
    lives = evaluate(genomes, keys_of_seeds(jnp.arange(2)))
    assert lives.fitness.shape == (4, 2)
    assert (lives.steps == 24).all()
    assert (lives.energy == 1).all()
    assert (lives.travelled == 0).all()


@pytest.mark.parametrize(
    ("env_id", "words"),
    [
        ("tropism/PatternWorld-Switch-v0", ["flat Box", "flat=True"]),
        ("CartPole-v1", ["no functional face", "CartPole-v1"]),
        ("tropism/Chemotaxis-L9.9-v0", ["no functional face", "Chemotaxis-L"]),
    ],
)
def test_what_cannot_be_evolved_says_why(env_id, words):
    with pytest.raises(UnsupportedTaskError) as error:
        Face(env_id)
    assert all(word in str(error.value) for word in words)


def test_adults_live_with_their_schedules_at_the_end():
    nursed = {"development": {"gradient_gain": (0.0, 1.0, 0.0, 1.0)}}
    assert Face(L02, nursed, adult=True).params.development.gradient_gain.low == 1.0
    assert Face(L02, nursed).params.development.gradient_gain.low == 0.0
    assert Face(L02, adult=True).params == Face(L02).params
