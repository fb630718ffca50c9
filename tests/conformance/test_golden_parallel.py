"""Behaviour never changes under the id of an environment for several agents either.

A new id is recorded with ``python tests/conformance/test_golden_parallel.py``, which never touches one that is there.
"""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.conformance.test_golden import flat_bytes

from tropism.envs import PARALLEL, make_parallel
from tropism.envs.core.uniform import UniformBaseline

RECORD = Path(__file__).parent / "golden_parallel.json"
STEPS, SEED = 1000, 7


def rollout_hash(env_id: str) -> str:
    """SHA3-256 of what random play for :data:`STEPS` steps shows: labels, the state and resets included."""
    digest = hashlib.sha3_256()
    env = make_parallel(env_id)
    players = {}
    for index, agent in enumerate(env.possible_agents):
        players[agent] = UniformBaseline(1, env.action_space(agent))
        players[agent].reset(np.array([True]), np.array([SEED + index], np.uint64))
    observations, infos = env.reset(seed=SEED)
    digest.update(flat_bytes({"observations": observations, "state": env.state()}))
    for _ in range(STEPS):
        actions = {agent: int(players[agent].act(None, {})[0][0]) for agent in env.agents}
        observations, rewards, *flags, infos = env.step(actions)
        labels = {
            agent: {name: np.float64(info[name]) for name in env.metadata["labels"]}
            for agent, info in infos.items()
        }
        outcome = {"observations": observations, "rewards": rewards, "labels": labels}
        outcome |= {"terminated": flags[0], "truncated": flags[1], "state": env.state()}
        digest.update(flat_bytes(outcome))
        if not env.agents:
            env.reset()
    return digest.hexdigest()


@pytest.mark.parametrize("env_id", sorted(PARALLEL))
def test_behaviour_is_what_it_was(env_id):
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    assert env_id in record, f"{env_id} is not on record; run: python {Path(__file__).name}"
    assert rollout_hash(env_id) == record[env_id], (
        f"{env_id} behaves otherwise than when it was recorded; register the change as a new version"
    )


@pytest.mark.parametrize("env_id", sorted(PARALLEL))
def test_fresh_processes_agree(env_id):
    program = (
        f"import sys; sys.path[:0] = {[str(Path(__file__).parents[2]), *sys.path]!r}\n"
        "from tests.conformance.test_golden_parallel import rollout_hash\n"
        f"print(rollout_hash({env_id!r}))"
    )
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed},
        )
        assert done.stdout.strip() == json.loads(RECORD.read_text(encoding="utf-8"))[env_id]


def main() -> None:
    """Record the ids that are not on record."""
    record = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {}
    fresh = {env_id: rollout_hash(env_id) for env_id in PARALLEL if env_id not in record}
    text = json.dumps(dict(sorted((record | fresh).items())), indent=2)
    RECORD.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))
    main()
