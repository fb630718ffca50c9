from __future__ import annotations

import numpy as np
import pytest

from tropism.agents.contract import Task
from tropism_moe.choices import Choices
from tropism_moe.encoders import make_encoder
from tropism_moe.lessons import Lessons, moves
from tropism_moe.teachers import privileged, teach

LEVEL = "tropism/Chemotaxis-L1.0-v0"


@pytest.fixture
def lessons():
    """``lessons(env_id, teacher, kwargs) -> Lessons`` of four lanes, closed at the end."""
    made = []

    def make(env_id, teacher, **kwargs):
        task = Task(env_id, kwargs)
        observation, action = task.spaces()
        encoder, choices = make_encoder(env_id, observation), Choices(action)
        one = Lessons(task, teach(teacher, task), encoder, choices, 4, 64, privileged(teacher))
        made.append(one)
        return one

    yield make
    for one in made:
        one.env.close()


def test_the_learner_moves_every_other_lane(lessons):
    one, played = lessons(LEVEL, "heuristic"), []
    step = one.env.step
    one.env.step = lambda action: (played.append(np.array(action)), step(action))[1]
    one.begin(np.random.default_rng(0))
    lesson = one.next(20, lambda seen, began: np.full(4, 3))
    wanted, played = lesson.wanted[..., 0].numpy().T, np.stack(played)
    np.testing.assert_array_equal(played[:, ::2], wanted[:, ::2])
    assert (played[:, 1::2] == 3).all()
    assert (wanted[:, 1::2] != 3).any()  # the teacher says what it would do there


def test_episodes_begin_where_they_ended_and_the_learner_is_told(lessons):
    one, told = lessons(LEVEL, "heuristic", max_episode_steps=7), []
    one.begin(np.random.default_rng(0))

    def player(seen, began):
        told.append(began.copy())
        return np.zeros(4, np.int64)

    lesson = one.next(15, player)
    again = one.next(6, player)
    resets = np.concatenate([lesson.resets.numpy(), again.resets.numpy()], 1)
    np.testing.assert_array_equal(np.stack(told, 1), resets)
    assert resets[:, 0].all()
    assert resets.sum() >= 4 * 3


def test_lessons_depend_on_the_generator_alone(lessons):
    found = []
    for seed in (1, 1, 2):
        one = lessons(LEVEL, "heuristic", max_episode_steps=9)
        one.begin(np.random.default_rng(seed))
        found.append(one.next(12, lambda seen, began: np.zeros(4, np.int64)))
    for a, b in zip(*found[:2], strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    assert (found[0].seen != found[2].seen).any()


def test_where_answers_move_nothing_the_teacher_plays_alone(lessons):
    assert not moves(Task("tropism/PatternWorld-Switch-v0"))
    assert moves(Task(LEVEL))
    one = lessons("tropism/PatternWorld-Switch-v0", "ideal")
    one.begin(np.random.default_rng(0))

    def nobody(seen, began):
        raise AssertionError("nobody asks the learner")

    lesson = one.next(30, nobody)
    tokens = lesson.seen[..., :101].argmax(-1)
    revealed = tokens[:, 11:] == lesson.wanted[:, 10:-1, 0]
    assert (
        revealed.double().mean() > 0.8
    )  # the ideal observer is mostly right, one step later it shows


@pytest.mark.parametrize(("teacher", "told"), [("probe", False), ("oracle", True)])
def test_labels_are_for_privileged_teachers_alone(lessons, teacher, told):
    one, infos = lessons(LEVEL, teacher), []
    act = one.teacher.act
    one.teacher.act = lambda observation, info: (infos.append(info), act(observation, info))[1]
    one.begin(np.random.default_rng(0))
    one.next(3, lambda seen, began: np.zeros(4, np.int64))
    labels = set(one.env.metadata["labels"])
    assert labels
    assert all(bool(labels & set(info)) is told for info in infos)
