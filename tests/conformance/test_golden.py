"""Behaviour never changes under an id: the hash of a rollout of each is on record.

A new id is recorded with ``python tests/conformance/test_golden.py``, which never touches one that is there.
"""

import hashlib
import json
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

from tropism.envs.core.uniform import UniformBaseline
from tropism.envs.registration import environment_ids

RECORD = Path(__file__).parent / "golden.json"
IDS = sorted(environment_ids())
STEPS, SEED = 1500, 7


def flat_bytes(value) -> bytes:
    """Arrays and scalars by type, shape and little-endian bytes; dictionaries by sorted key."""
    if isinstance(value, dict):
        return b"".join(key.encode() + flat_bytes(value[key]) for key in sorted(value))
    array = np.asarray(value)
    array = array.astype(array.dtype.newbyteorder("<"))
    return f"{array.dtype.kind}{array.dtype.itemsize}{array.shape}".encode() + array.tobytes()


def rollout_hash(env_id: str) -> str:
    """SHA3-256 of what random play for :data:`STEPS` steps shows, labels and resets included."""
    digest = hashlib.sha3_256()
    env = gym.make(env_id)
    player = UniformBaseline(1, env.action_space)
    player.reset(np.array([True]), np.array([SEED], dtype=np.uint64))
    observation, info = env.reset(seed=SEED)
    for _ in range(STEPS):
        labels = {name: np.int64(info[name]) for name in env.metadata["labels"]}
        action = player.act(None, {})[0][0]
        digest.update(flat_bytes({"observation": observation, "labels": labels, "action": action}))
        observation, reward, terminated, truncated, info = env.step(action)
        digest.update(
            flat_bytes({"reward": np.float64(reward), "ended": np.array([terminated, truncated])})
        )
        if terminated or truncated:
            observation, info = env.reset()
    env.close()
    return digest.hexdigest()


@pytest.mark.parametrize("env_id", IDS)
def test_behaviour_is_what_it_was(env_id):
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    assert env_id in record, f"{env_id} is not on record; run: python {Path(__file__).name}"
    assert rollout_hash(env_id) == record[env_id], (
        f"{env_id} behaves otherwise than when it was recorded; register the change as a new version"
    )


def main() -> None:
    """Record the ids that are not on record."""
    record = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {}
    fresh = {env_id: rollout_hash(env_id) for env_id in IDS if env_id not in record}
    RECORD.write_text(
        json.dumps(dict(sorted((record | fresh).items())), indent=2) + "\n", encoding="utf-8"
    )


if __name__ == "__main__":
    main()
