from __future__ import annotations

import numpy as np
import pytest
import torch

from tropism.agents.counting import CountingTask
from tropism_council.episodes import Episodes


def episodes(task, lanes, masked, held_out=0, seed=0):
    found = Episodes(task, lanes, masked, held_out)
    found.begin(np.random.default_rng(seed))
    return found


@pytest.mark.parametrize(("name", "masked"), [("Switch", 100), ("Hop", 8)])
def test_answers_are_the_targets_of_the_environment(tier, name, masked):
    """Held against the labels, which training itself never sees."""
    made = Episodes(tier(name), 5, masked, 0)
    labels = [label_of(made.env, call) for call in ("reset", "step")]
    made.begin(np.random.default_rng(0))
    stretch, began = made.next(40)
    made.env.close()
    assert began
    asked_first, asked_later = labels
    targets = np.stack([*asked_first, *asked_later], 1)
    np.testing.assert_array_equal(stretch.answers.numpy(), targets[:, :-1])


def label_of(env, call):
    """A list that grows by the right answer to what is asked after each ``call`` of ``env``."""
    labels, method = [], getattr(env, call)

    def listening(*args, **kwargs):
        found = method(*args, **kwargs)
        labels.append(found[-1]["target"])
        return found

    setattr(env, call, listening)
    return labels


def test_a_question_is_the_last_token_of_its_step_and_comes_before_its_answer(tier):
    made = episodes(tier("Hop"), 5, 8)
    stretch, _ = made.next(40)
    made.env.close()
    lanes = np.arange(5)[:, None]
    asked = stretch.asked.numpy()
    assert (stretch.tokens.query[lanes, asked] > 0).all()
    assert stretch.tokens.query.astype(bool).sum() == asked.size
    following = stretch.tokens.value[lanes, asked[:, :-1] + 1]
    np.testing.assert_array_equal(following, stretch.answers.numpy()[:, :-1])


def test_stretches_follow_one_another_and_episodes_begin_anew(tier):
    one, two = (episodes(tier("Switch", max_episode_steps=7), 3, 100) for _ in range(2))
    whole, _ = one.next(7)
    parts = [two.next(n) for n in (3, 3, 3)]
    later, again = two.next(3)
    for made in (one, two):
        made.env.close()
    assert [began for _, began in parts] == [True, False, False]
    assert [stretch.answers.shape[1] for stretch, _ in parts] == [3, 3, 1]  # an episode ends
    torch.testing.assert_close(torch.cat([s.answers for s, _ in parts], 1), whole.answers)
    assert again
    assert not torch.equal(later.answers, whole.answers[:, :3])


def test_seeds_are_those_of_training_less_the_ones_held_out(tier):
    task = CountingTask.of(tier("Switch", max_episode_steps=2))
    made = episodes(task, 50, 100, held_out=9990)
    for _ in range(20):
        made.next(2)
    made.env.close()
    assert task.usage.seeds == set(range(10))
    assert not task.usage.unseeded


def test_the_same_generator_gives_the_same_episodes(tier):
    first, second, other = (episodes(tier("Affine"), 4, 97, seed=s) for s in (1, 1, 2))
    found = [made.next(9)[0].answers for made in (first, second, other)]
    for made in (first, second, other):
        made.env.close()
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])
