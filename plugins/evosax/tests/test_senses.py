from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tropism_evosax.face import Face, keys_of_seeds
from tropism_evosax.senses import PER_SQUARE, PER_UNIT, Senses

L02, L10, L20 = (f"tropism/Chemotaxis-{level}-v0" for level in ("L0.2", "L1.0", "L2.0"))
DENSE = {"width": 6, "steps": 48}


def life(env_id, **kwargs):
    """Signals felt and labels told along random lives: each [episodes, steps]."""
    face = Face(env_id, kwargs)
    senses = Senses.of(face.params)

    def step(carry, action):
        observation, state, labels = carry
        outcome = face.step(state, action)
        felt = senses.feel(observation, outcome.reward, outcome.observation)
        alive = (labels["energy_units"] > 0) & (labels["integrity_units"] > 0)
        told = (labels["drive"] - outcome.labels["drive"], outcome.labels["event"])
        return (outcome.observation, outcome.state, outcome.labels), (felt, told, alive)

    def live(key, actions):
        return jax.lax.scan(step, face.reset(key), actions)[1]

    actions = jax.random.randint(jax.random.key(1), (16, face.steps), 0, face.num_actions)
    felt, told, alive = jax.jit(jax.vmap(live))(keys_of_seeds(jnp.arange(16)), actions)
    return jax.tree.map(np.asarray, (felt, told, alive))


@pytest.mark.parametrize("env_id", [L02, L10])
def test_what_is_felt_is_what_is_labelled_to_the_bit(env_id):
    felt, (drive, event), alive = life(env_id, **DENSE)
    assert (event[alive] > 0).any()
    assert (event[alive] < 0).any()
    np.testing.assert_array_equal(felt.drive[alive], drive[alive].astype("f4") * PER_SQUARE)
    np.testing.assert_array_equal(felt.event[alive], event[alive].astype("f4") * PER_UNIT)


def test_two_needs_are_felt_too():
    felt, (drive, event), alive = life(L20, width=5, height=5, steps=48)
    assert (event[alive] > 0).any()
    np.testing.assert_array_equal(felt.drive[alive], drive[alive].astype("f4") * PER_SQUARE)
    np.testing.assert_allclose(
        felt.event[alive], event[alive] / 6400, atol=5 / 6400
    )  # of rounded pay


def test_who_has_no_body_feels_the_reward():
    felt = Senses.of(None).feel(jnp.zeros(3), jnp.float32(0.25), jnp.zeros(3))
    assert (felt.drive, felt.event) == (0.0, 0.25)
