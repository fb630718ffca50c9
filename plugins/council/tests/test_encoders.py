from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.vector.utils import batch_space, concatenate, create_empty_array

from tropism.errors import UnsupportedTaskError
from tropism_council.choices import LEVELS, Choices, divergence, entropy, log_prob
from tropism_council.choices import unsupported_action as no_action
from tropism_council.encoders import Encoder, Running
from tropism_council.encoders import unsupported_observation as no_observation

NESTED: Any = spaces.Dict(
    {
        "b": spaces.Tuple((spaces.Discrete(3, start=-1), spaces.Box(-1, 1, (2, 3)))),
        "a": spaces.MultiDiscrete([2, 4], start=[5, 0]),
        "c": spaces.MultiBinary(3),
    }
)


@pytest.mark.parametrize("space", [NESTED, *NESTED["b"], NESTED["a"], NESTED["c"]])
def test_observations_are_flattened_as_gymnasium_does(space):
    space.seed(0)
    items = [space.sample() for _ in range(7)]
    batch = concatenate(space, items, create_empty_array(space, len(items)))
    assert batch_space(space, 7).contains(batch)
    wanted = np.stack([np.asarray(spaces.flatten(space, item)) for item in items])
    encoder = Encoder(space)
    np.testing.assert_array_equal(encoder(batch).numpy(), wanted.astype(np.float32))
    np.testing.assert_array_equal(encoder.one(items[3]).numpy()[0], wanted[3].astype(np.float32))
    assert encoder.size == wanted.shape[1]


def test_only_numbers_of_a_box_are_measured():
    encoder = Encoder(NESTED)
    assert encoder.measured.sum() == 6
    assert (~Encoder(NESTED["a"]).measured).all()


@pytest.mark.parametrize(
    ("space", "reason"),
    [
        (spaces.Text(4), "Text"),
        (spaces.Sequence(spaces.Discrete(2)), "Sequence"),
        (spaces.Graph(spaces.Discrete(2), None), "Graph"),
        (spaces.Dict({"x": spaces.Tuple((spaces.Text(4),))}), "Text"),
        (spaces.Box(0, 255, (65, 64), np.uint8), "4160 numbers, the council reads at most 4096"),
        (spaces.Box(-1, 1, (0,)), "empty"),
    ],
)
def test_other_observations_are_refused_with_the_reason(space, reason):
    assert reason in no_observation(space)
    assert no_observation(NESTED) is None


def test_numbers_that_are_not_finite_are_refused():
    encoder = Encoder(spaces.Box(-np.inf, np.inf, (2,)))
    with pytest.raises(UnsupportedTaskError, match="holds nan"):
        encoder(np.array([[0.0, np.nan]]))


def test_running_statistics_are_those_of_all_rows():
    rows = torch.from_numpy(
        np.random.default_rng(0).normal([3.0, -1e3, 0.5], [1e-2, 50, 1], (300, 3))
    )
    running = Running(np.array([True, True, False]))
    torch.testing.assert_close(running(rows)[:, 0], rows[:, 0].float())  # nothing is known yet
    for part in rows.split([1, 9, 290]):
        running.add(part)
    normal = running(rows)
    torch.testing.assert_close(running.mean, rows.mean(0))
    torch.testing.assert_close(normal[:, :2].mean(0), torch.zeros(2), atol=1e-4, rtol=0)
    torch.testing.assert_close(normal[:, :2].std(0), torch.ones(2), atol=1e-2, rtol=0)
    torch.testing.assert_close(normal[:, 2], rows[:, 2].float())
    assert running(torch.tensor([[1e9, 0.0, 0.0]]))[0, 0] == 10


# -- actions ----------------------------------------------------------------------------------------------------

ACTIONS = [
    spaces.Discrete(3, start=-1),
    spaces.MultiDiscrete(np.array([[2, 3], [4, 2]]), start=np.array([[1, 0], [0, 7]])),
    spaces.MultiBinary((2, 2)),
    spaces.Box(np.array([-1.0, 0.0], np.float32), np.array([1.0, 30.0], np.float32)),
    spaces.Box(0, 255, (2,), np.uint8),
]


def random_log_probs(choices, lanes):
    logits = torch.randn(lanes, choices.count, choices.width).masked_fill(~choices.legal, -1e9)
    return torch.log_softmax(logits, -1)


@pytest.mark.parametrize("space", ACTIONS)
def test_whatever_is_chosen_is_an_action(space):
    torch.manual_seed(0)
    choices = Choices(space)
    log_probs = random_log_probs(choices, 200)
    _, likeliest = choices.best(log_probs)
    for noise in (0.0, 0.5, 1 - 1e-12):
        options = choices.draw(log_probs, np.full((200, choices.count), noise))
        for action in (*choices.actions(options), *likeliest):
            assert space.contains(np.asarray(action)[()] if space.shape == () else action), action


def test_options_are_drawn_as_often_as_their_probabilities_say():
    choices = Choices(spaces.MultiDiscrete([2, 5]))
    log_probs = random_log_probs(choices, 1)
    noise = np.random.default_rng(0).random((20_000, 2))
    options = choices.draw(log_probs.expand(20_000, -1, -1), noise)
    for factor, width in enumerate((2, 5)):
        share = np.bincount(options[:, factor], minlength=5) / 20_000
        np.testing.assert_allclose(share, log_probs[0, factor].exp().numpy(), atol=0.02)
        assert (share[width:] == 0).all()


def test_a_box_is_cut_into_levels_and_its_best_is_their_mean():
    choices = Choices(spaces.Box(-1.0, 3.0, (1,)))
    ends = choices.actions(np.array([[0], [LEVELS - 1], [LEVELS // 2]]))
    assert ends[:, 0].tolist() == [-1.0, 3.0, 1.0]
    log_probs = torch.full((1, 1, LEVELS), -1e9)
    log_probs[0, 0, [4, 5]] = torch.tensor([0.25, 0.75]).log()
    assert choices.best(log_probs)[1][0, 0] == pytest.approx(-1 + 4 * 4.75 / 10, abs=4 / 1024)


def test_figures_of_several_choices_are_those_of_independent_ones():
    choices = Choices(spaces.MultiDiscrete([2, 3]))
    one, other = random_log_probs(choices, 5), random_log_probs(choices, 5)
    parts = [torch.distributions.Categorical(one[:, f].exp()) for f in range(2)]
    others = [torch.distributions.Categorical(other[:, f].exp()) for f in range(2)]
    options = torch.tensor([[0, 2], [1, 0], [1, 1], [0, 0], [0, 1]])
    wanted = sum(p.log_prob(options[:, f]) for f, p in enumerate(parts))
    torch.testing.assert_close(log_prob(one, options), wanted)
    torch.testing.assert_close(entropy(one), sum(p.entropy() for p in parts))
    kl = torch.distributions.kl_divergence
    apart = sum(kl(p, q) for p, q in zip(parts, others, strict=True))
    torch.testing.assert_close(divergence(one, other), apart, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("space", "reason"),
    [
        (spaces.Box(-np.inf, 1, (2,)), "finite bounds"),
        (spaces.Text(3), "not in Text"),
        (spaces.Discrete(5000), "5000 options"),
    ],
)
def test_other_actions_are_refused_with_the_reason(space, reason):
    assert reason in no_action(space)
    assert no_action(spaces.Discrete(4096)) is None
