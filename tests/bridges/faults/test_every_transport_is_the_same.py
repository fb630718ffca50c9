"""The same seed and actions give the same bytes, whatever they travel over."""

import hashlib

import gymnasium
import numpy as np
import pytest
from tests.bridges.traces import PATIENT, TRANSPORTS

import tropism.envs  # noqa: F401  registers the environments of the suite
from tropism.bridges.env import BridgeEnv

STEPS = 10_000
ENVIRONMENTS = {
    "CartPole-v1": "CartPole-v1",
    "tropism/Chemotaxis-L1.0-v0": "tropism.envs:tropism/Chemotaxis-L1.0-v0",
}


def digest(env, steps=STEPS):
    """SHA-256 of all observations, rewards and flags of a random run; closes the environment."""
    dice, sha = np.random.default_rng(7), hashlib.sha256()
    actions = [int(dice.integers(env.action_space.n)) for _ in range(steps)]
    over = True
    for count, action in enumerate(actions):
        if over:
            note(sha, env.reset(seed=count)[0])
        observation, reward, terminated, truncated, _ = env.step(action)
        note(sha, observation)
        sha.update(np.array([reward, terminated, truncated], np.float64).tobytes())
        over = terminated or truncated
    env.close()
    return sha.hexdigest()


def note(sha, observation):
    """Add an observation, its type and its shape included."""
    if isinstance(observation, dict):
        for key, value in observation.items():
            sha.update(key.encode())
            note(sha, value)
    else:
        array = np.asarray(observation)
        sha.update(f"{array.dtype}{array.shape}".encode() + array.tobytes())


@pytest.mark.parametrize(
    ("env_id", "steps"),
    [
        ("CartPole-v1", STEPS // 4),
        ("tropism/Chemotaxis-L1.0-v0", STEPS // 4),
        pytest.param("CartPole-v1", STEPS, marks=pytest.mark.slow),
        pytest.param("tropism/Chemotaxis-L1.0-v0", STEPS, marks=pytest.mark.slow),
    ],
)
def test_observations_are_the_same_on_every_transport_and_in_process(env_id, steps):
    digests = {"in process": digest(gymnasium.make(env_id, disable_env_checker=True), steps)}
    for transport in TRANSPORTS:
        env = BridgeEnv(env_id=ENVIRONMENTS[env_id], transport=transport, deadlines=PATIENT)
        assert env.session.transport == transport
        digests[transport] = digest(env, steps)
    assert len(set(digests.values())) == 1, digests


@pytest.mark.parametrize("options", [{"crc": True}, {"zlib": True}, {"copy": False}], ids=str)
def test_observations_are_the_same_however_they_are_sent(options):
    plain = digest(gymnasium.make("CartPole-v1"), 1000)
    assert digest(BridgeEnv(env_id="CartPole-v1", deadlines=PATIENT, **options), 1000) == plain
