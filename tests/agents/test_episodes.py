from __future__ import annotations

import numpy as np
import pytest

from tropism.agents.arrays import save_arrays
from tropism.agents.contract import Task
from tropism.agents.episodes import hash_actions, load_episodes, save_episodes
from tropism.agents.evaluate import evaluate
from tropism.errors import ArtifactError

from .players import MOODY, Listener, essence

MEMORY = Task("tropism/Sanity-Memory-v0")


def listener(task):
    return Listener(task.spaces()[1])


@pytest.mark.parametrize(
    "env_id", [MOODY, "tropism/Sanity-Continuous-v0", "tropism/Sanity-MultiDiscrete-v0"]
)
def test_episodes_survive_their_file(tmp_path, env_id):
    task = Task(env_id)
    episodes = evaluate(listener(task), task, range(3))
    save_episodes(tmp_path / "e.npz", episodes)
    again = load_episodes(tmp_path / "e.npz")
    assert essence(again) == essence(episodes)
    for old, new in zip(episodes, again, strict=True):
        assert np.array_equal(old.action, new.action)
        assert old.action.dtype == new.action.dtype
        assert (old.wall_us, old.lanes) == (new.wall_us, new.lanes)
        for optional in ("gated", "target_log_prob", "action_log_prob"):
            assert (
                np.array_equal(getattr(old, optional), getattr(new, optional))
                or getattr(old, optional) is None
            )


def test_damaged_episode_file_is_refused(tmp_path):
    path = tmp_path / "e.npz"
    episodes = evaluate(listener(MEMORY), MEMORY, range(3))
    save_episodes(path, episodes)
    content = path.read_bytes()
    for damaged in (b"", content[: len(content) // 2], b"x" * 100, content[:50]):
        path.write_bytes(damaged)
        with pytest.raises(ArtifactError, match="cannot be read"):
            load_episodes(path)
    for place in range(40, len(content), 97):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :])
        try:
            assert essence(load_episodes(path)) == essence(episodes)  # a byte nobody reads
        except ArtifactError:
            continue
    with pytest.raises(ArtifactError, match="cannot be read"):
        load_episodes(tmp_path / "missing.npz")
    save_arrays(path, {"a": np.arange(3)})
    with pytest.raises(ArtifactError, match="holds no episodes"):
        load_episodes(path)
    other = evaluate(listener(MEMORY), MEMORY, [7])[0]
    object.__setattr__(other, "action", 1 - other.action)
    save_episodes(path, [other])
    with pytest.raises(ArtifactError, match="do not match their hash"):
        load_episodes(path)


def test_action_hash_is_canonical():
    actions = np.array([[1, 2], [3, 4]])
    assert hash_actions(1, actions.astype(np.int32)) == hash_actions(1, actions.astype(">i8"))
    assert hash_actions(1, actions) == hash_actions(1, np.asfortranarray(actions))
    different = [
        hash_actions(1, actions),
        hash_actions(2, actions),
        hash_actions(1, actions[::-1]),
        hash_actions(1, actions.ravel()),
        hash_actions(1, actions.astype(np.float32)),
    ]
    assert len(set(different)) == 5
    # pinned: a change would orphan every recorded score
    assert hash_actions(0, np.array([0, 1, 2])).startswith("06bbe2e37c3e81d9")
