from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st

import tropism.envs  # noqa: F401  registers the environments
from tropism.agents.contract import Task
from tropism.errors import UnsupportedTaskError
from tropism_moe.choices import Choices
from tropism_moe.encoders import encoder_of, make_encoder

FEW = settings(deadline=None, max_examples=40, derandomize=True)
SPACES = [
    spaces.Discrete(5, start=-2),
    spaces.MultiDiscrete([3, 4], start=[1, -1]),
    spaces.MultiDiscrete([[3, 2], [4, 5]]),
    spaces.MultiBinary(3),
    spaces.Box(-2.0, 6.0, (2, 3)),
    spaces.Box(np.array([-np.inf, 0.0], np.float32), np.array([np.inf, 1.0], np.float32)),
    spaces.Dict(a=spaces.Discrete(3), b=spaces.Box(0, 255, (4,), np.uint8)),
]


def batch(space, count, seed=0):
    vector = gym.vector.utils.batch_space(space, count)
    vector.seed(seed)
    return vector.sample()


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_every_lane_becomes_as_many_numbers_as_are_told_and_other_lanes_do_not_matter(space):
    encoder = make_encoder("any", space)
    seen = batch(space, 6)
    found = encoder(seen)
    assert found.shape == (6, encoder.size)
    assert found.dtype == np.float32
    for lane, one in enumerate(
        gym.vector.utils.iterate(gym.vector.utils.batch_space(space, 6), seen)
    ):
        alone = gym.vector.utils.concatenate(
            space, [one], gym.vector.utils.create_empty_array(space, 1)
        )
        np.testing.assert_array_equal(encoder(alone)[0], found[lane])


def test_discrete_things_become_one_hot():
    encoder = make_encoder("any", spaces.MultiDiscrete([3, 4], start=[1, -1]))
    np.testing.assert_array_equal(encoder(np.array([[3, -1]])), [[0, 0, 1, 1, 0, 0, 0]])


def test_bounded_numbers_fill_the_unit_box_and_others_are_squashed():
    bounded = make_encoder("any", spaces.Box(-2.0, 6.0, (1,)))
    np.testing.assert_allclose(bounded(np.array([[-2.0], [2.0], [6.0]])), [[-1], [0], [1]])
    free = make_encoder("any", spaces.Box(-np.inf, np.inf, (1,)))
    large = np.float32(np.e**3 - 1)
    np.testing.assert_allclose(
        free(np.array([[-large], [0], [large]])), [[-3], [0], [3]], rtol=1e-5
    )


def test_of_patternworld_the_newest_token_the_query_and_the_last_answer_are_read():
    env = gym.make("tropism/PatternWorld-Switch-v0")
    encoder = make_encoder("tropism/PatternWorld-Switch-v0", env.observation_space)
    observation, _ = env.reset(seed=1)
    for answer in (3, 7):
        observation, reward, *_ = env.step(answer)
        lane = {key: np.asarray(value)[None] for key, value in observation.items()}
        found = encoder(lane)[0]
        tokens, queries, actions = 101, 9, 101
        assert encoder.size == tokens + queries + actions + 1
        token, query, action = np.split(found[:-1], [tokens, tokens + queries])
        assert token.argmax() == observation["history"][-1]
        assert token.sum() == query.sum() == action.sum() == 1
        assert action.argmax() == answer
        assert found[-1] == reward


@pytest.mark.parametrize(
    ("kwargs", "size"),
    [({}, 101 + 9), ({"feedback": "bandit"}, 101 + 9 + 101 + 1), ({"feedback": "closed"}, 101 + 9 + 101 + 1)],
)  # fmt: skip
def test_where_the_right_answer_is_shown_the_own_one_is_not_read(kwargs, size):
    task = Task("tropism/PatternWorld-Switch-v0", kwargs)
    encoder, env = encoder_of(task), task.make()
    assert encoder.size == size
    found = []
    for answer in (3, 7):
        env.reset(seed=1)
        observation, *_ = env.step(answer)
        lane = {key: np.asarray(value)[None] for key, value in observation.items()}
        found.append(encoder(lane)[0])
    assert found[0].shape == (size,)
    assert found[0][: 101 + 9].sum() == 2
    assert np.array_equal(*found) is (kwargs == {})
    assert encoder_of(Task("tropism/PatternWorld-Hop-v0")).size == 9 + 9 + 9 + 1


def test_what_cannot_be_read_or_done_is_named():
    with pytest.raises(UnsupportedTaskError, match="an observation of Text"):
        make_encoder("any", spaces.Text(3))
    with pytest.raises(UnsupportedTaskError, match="actions of Box"):
        Choices(spaces.Box(-np.inf, np.inf, (2,)))


# -- choices ----------------------------------------------------------------------------------------------------

ACTIONS = [
    spaces.Discrete(4, start=2),
    spaces.MultiDiscrete([3, 2], start=[0, 5]),
    spaces.Box(np.array([-1.0, 0.0], np.float32), np.array([3.0, 1.0], np.float32)),
]


@pytest.mark.parametrize("space", ACTIONS, ids=str)
def test_outputs_that_are_taught_an_action_choose_it(space):
    choices = Choices(space)
    wanted = batch(space, 8)
    outputs = torch.zeros(8, choices.size, requires_grad=True)
    adam = torch.optim.Adam([outputs], 0.3)
    for _ in range(600):
        loss = choices.loss(outputs, torch.from_numpy(choices.numbers(wanted))).mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
    found = choices.best(outputs.detach().numpy())
    assert found.dtype == space.dtype or np.issubdtype(space.dtype, np.integer)
    np.testing.assert_allclose(found, wanted, atol=0.1 if isinstance(space, spaces.Box) else 0)
    for action in found:
        assert space.contains(np.asarray(action, space.dtype) if space.shape else int(action))


@FEW
@given(st.integers(0, 2**32 - 1))
def test_a_divergence_is_a_sum_over_choices_and_nothing_between_equals(seed):
    rng = np.random.default_rng(seed)
    choices = Choices(ACTIONS[1])
    one, other = torch.from_numpy(rng.normal(size=(2, 3, 5)))
    found = choices.divergence(one, other).numpy()
    wanted = np.zeros(3)
    for part in (slice(0, 3), slice(3, 5)):
        p, q = (np.exp(x[:, part].numpy()) for x in (one, other))
        p, q = p / p.sum(1, keepdims=True), q / q.sum(1, keepdims=True)
        wanted += (p * np.log(p / q)).sum(1)
    np.testing.assert_allclose(found, wanted, atol=1e-9)
    assert choices.divergence(one, one).abs().max() < 1e-9
