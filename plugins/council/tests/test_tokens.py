from __future__ import annotations

import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from tropism.envs.patternworld.observation import Seen, read
from tropism_council.tokens import MOST_NEW, Reader, join

MASKED = 9


def seen(*rows, query=0, action=0, reward=0.0):
    history = np.array(rows)
    lanes = len(history)
    return Seen(
        history,
        np.full(lanes, action),
        np.full(lanes, reward, np.float32),
        np.full(lanes, query),
    )


def played(task, lanes, steps, seed=5, **kwargs):
    """Everything that is shown to some lanes in their first ``steps`` steps."""
    env = task.make_vec(lanes, autoreset_mode=AutoresetMode.DISABLED, **kwargs)
    observation, _ = env.reset(seed=seed)
    nothing = np.zeros(lanes, np.int64)
    shown = [read(observation), *(read(env.step(nothing)[0]) for _ in range(steps))]
    env.close()
    return shown


@pytest.mark.parametrize(
    ("name", "shown"),
    [("Switch", 64), ("Switch", 1), ("Affine", 64), ("Hop", 64), ("Hop", 2 * MOST_NEW)],
)
def test_the_new_tokens_one_after_the_other_are_the_history(tier, name, shown):
    """A history that is long enough to hold the whole episode says which tokens there were."""
    short = played(tier(name), 6, 90, history=shown)
    whole = played(tier(name), 6, 90, history=600)[-1].history
    masked = int(tier(name).spaces()[0]["history"].nvec[0]) - 1
    reader = Reader(6, masked, False)
    steps = [reader.read(one) for one in short]
    for lane in range(6):
        told = np.concatenate([step.value[lane][step.new[lane]] for step in steps])
        assert told.tolist() == whole[lane][whole[lane] != masked].tolist()


def test_hop_is_read_two_tokens_at_a_time_and_ten_at_a_switch(tier):
    shown = played(tier("Hop"), 6, 90)
    reader = Reader(6, 8, False)
    counts = np.stack([reader.read(one).new.sum(1) for one in shown])
    assert set(counts[0]) == {9}  # a permutation and a symbol
    assert set(counts[1:].ravel()) == {2, MOST_NEW}
    assert (counts == MOST_NEW).any(1).sum() < len(counts) - 1  # lanes switch at different times
    assert (counts.min(1) < counts.max(1)).any()


def test_places_tell_how_many_come_after_and_whether_it_is_a_listing():
    reader = Reader(2, MASKED, False)
    first = reader.read(seen([9, 9, 9, 4], [9, 1, 2, 3]))
    assert first.new.tolist() == [[False, False, True], [True, True, True]]
    assert first.place.tolist() == [[0, 0, 0], [12, 11, 10]]
    assert first.value[0, -1] == 4
    second = reader.read(seen([9, 9, 4, 5], [2, 3, 6, 7]))
    assert second.value[second.new].tolist() == [5, 6, 7]
    assert second.place.tolist() == [[0, 0], [1, 0]]


def test_what_is_asked_stands_at_the_last_token_and_feedback_only_if_it_is_told():
    for feedback in (False, True):
        reader = Reader(1, MASKED, feedback)
        reader.read(seen([9, 9, 4], query=3))
        step = reader.read(seen([4, 5, 6], query=7, action=5, reward=-1.0))
        assert step.query.tolist() == [[0, 7]]
        assert step.action.tolist() == [[0, 5 * feedback]]
        assert step.reward.tolist() == [[0, 0]]
        assert reader.read(seen([5, 6, 7], reward=1.0)).reward.tolist() == [[4 * feedback]]


def test_a_lane_that_begins_is_read_whole_and_the_others_are_not():
    reader = Reader(2, MASKED, False)
    reader.read(seen([9, 1, 2, 3], [9, 1, 2, 3]))
    reader.reset(np.array([True, False]))
    step = reader.read(seen([9, 1, 2, 3], [1, 2, 3, 4]))
    assert step.new.sum(1).tolist() == [3, 1]
    assert reader.read(seen([1, 2, 3, 4], [2, 3, 4, 5])).new.sum(1).tolist() == [1, 1]


def test_steps_are_joined_without_gaps_at_the_end_of_each_row():
    reader = Reader(2, MASKED, False)
    steps = [
        reader.read(seen([9, 9, 9, 4], [9, 1, 2, 3], query=1)),
        reader.read(seen([9, 9, 4, 5], [2, 3, 6, 7], query=2)),
        reader.read(seen([9, 4, 5, 8], [3, 6, 7, 0], query=3)),
    ]
    tokens, ends = join(steps)
    assert tokens.new.tolist() == [[False] * 3 + [True] * 3, [True] * 6]
    assert tokens.value[0, 3:].tolist() == [4, 5, 8]
    assert tokens.value[1].tolist() == [1, 2, 3, 6, 7, 0]
    assert ends.tolist() == [[3, 4, 5], [2, 4, 5]]
    assert np.take_along_axis(tokens.query, ends, 1).tolist() == [[1, 2, 3]] * 2
    assert tokens.query.sum() == 12
