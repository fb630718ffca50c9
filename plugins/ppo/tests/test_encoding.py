from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector.utils import batch_space

from tropism.agents.contract import Task
from tropism.errors import UnsupportedTaskError
from tropism_ppo.encoding import make_encoder

PLAIN = Task("CartPole-v1")
SPACES = {
    "box": spaces.Box(-2.0, 3.0, (2, 3), np.float32),
    "bytes": spaces.Box(0, 255, (5,), np.uint8),
    "small image": spaces.Box(0, 255, (8, 8, 3), np.uint8),
    "image": spaces.Box(0, 255, (40, 36, 3), np.uint8),
    "discrete": spaces.Discrete(4, start=2),
    "multi-discrete": spaces.MultiDiscrete(np.array([[2, 3], [4, 5]])),
    "multi-binary": spaces.MultiBinary(6),
    "dict": spaces.Dict({"a": spaces.Discrete(3), "i": spaces.Box(0, 255, (1, 36, 36), np.uint8)}),
}


@pytest.mark.parametrize("name", ["raw", "one-hot", "auto"])
@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_encoded_samples_lie_in_the_encoded_space(name, space):
    encoder = make_encoder(name, 2, PLAIN, space)
    batch = batch_space(space, 5).sample()
    encoded = encoder(batch)
    rows = [
        {k: v[i] for k, v in encoded.items()} if isinstance(encoded, dict) else encoded[i]
        for i in range(5)
    ]
    assert all(encoder.space.contains(row) for row in rows)


def test_one_hot_tells_every_digit():
    encoder = make_encoder("one-hot", 2, PLAIN, spaces.MultiDiscrete([2, 3], start=[0, 5]))
    np.testing.assert_array_equal(
        encoder(np.array([[1, 5], [0, 7]])), [[0, 1, 1, 0, 0], [1, 0, 0, 0, 1]]
    )


def test_images_come_channels_first():
    space = SPACES["image"]
    batch = batch_space(space, 2).sample()
    encoder = make_encoder("auto", 2, PLAIN, space)
    assert encoder.space.shape == (3, 40, 36)
    np.testing.assert_array_equal(encoder(batch)[1, 2], batch[1, :, :, 2])


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("feedback", ["reveal", "bandit", "probe", "closed"])
def test_tokens_are_the_last_of_the_history(flat, feedback):
    task = Task("tropism/PatternWorld-Affine-v0", {"flat": flat, "feedback": feedback})
    encoder = make_encoder("auto", 2, task, task.spaces()[0])
    vector = task.make_vec(3)
    vector.reset(seed=0)
    actions = np.array([1, 2, 3])
    observation, reward = vector.step(actions)[:2]
    encoded = encoder(observation)
    history = observation[:, :64].astype(int) if flat else observation["history"]
    for lane in range(3):
        digits = np.flatnonzero(encoded[lane, : 98 * 2 + 9])
        assert digits.tolist() == [history[lane, -2], 98 + history[lane, -1], 98 * 2]
        assert encoder.space.contains(encoded[lane])
    if feedback == "reveal":
        assert encoded.shape == (3, 98 * 2 + 9)
    else:
        shown = encoded[:, 98 * 2 + 9 : -1]
        np.testing.assert_array_equal(shown.argmax(1), actions)
        np.testing.assert_array_equal(encoded[:, -1], reward.astype(np.float32))


def test_both_forms_of_an_observation_are_encoded_alike():
    encoded = []
    for flat in (False, True):
        task = Task("tropism/PatternWorld-Hop-v0", {"flat": flat})
        encoder = make_encoder("tokens", 4, task, task.spaces()[0])
        observation, _ = task.make_vec(3).reset(seed=1)
        encoded.append(encoder(observation))
    np.testing.assert_array_equal(*encoded)


def test_what_cannot_be_encoded_is_refused():
    with pytest.raises(UnsupportedTaskError, match="PatternWorld"):
        make_encoder("tokens", 2, PLAIN, SPACES["box"])
    with pytest.raises(UnsupportedTaskError, match="Tuple"):
        make_encoder("auto", 2, PLAIN, spaces.Tuple([spaces.Discrete(2)]))
    with pytest.raises(UnsupportedTaskError, match="Dict"):
        make_encoder("auto", 2, PLAIN, spaces.Dict({"x": spaces.Dict({"y": spaces.Discrete(2)})}))


def test_raw_numbers_stay_numbers():
    space = gymnasium.make("CartPole-v1").observation_space
    batch = batch_space(space, 2).sample()
    np.testing.assert_array_equal(make_encoder("raw", 2, PLAIN, space)(batch), batch)
    digits = make_encoder("raw", 2, PLAIN, SPACES["multi-discrete"])(np.ones((2, 2, 2), int))
    np.testing.assert_array_equal(digits, np.ones((2, 4)))
