from __future__ import annotations

import numpy as np
import pytest
from gymnasium import spaces

from tropism.agents.contract import Task
from tropism_moe.choices import Choices
from tropism_moe.proofs import Proofs, tokens_shown


def shown(*tokens):
    """Observations of PatternWorld whose newest tokens are these."""
    history = np.zeros((len(tokens), 4), np.int64)
    history[:, -1] = tokens
    scalars = {name: np.zeros(len(tokens), np.int64) for name in ("prev_action", "query_k")}
    return {"history": history, "prev_reward": np.zeros((len(tokens), 1)), **scalars}


def test_an_action_that_is_paid_more_than_usual_proved_right():
    proofs = Proofs(Choices(spaces.Discrete(5, start=10)), 0, 2)
    found = [proofs.of(np.array([12, 14]), None, np.array(r)) for r in ([1, 1], [2, 1], [1.5, 0])]
    assert [p.right.tolist() for p in found] == [[-1, -1], [2, -1], [-1, -1]]
    assert found[0].taken.tolist() == [2, 4]
    np.testing.assert_allclose([p.beyond for p in found], [[0, 0], [1, 0], [0, -1]])
    proofs.reset(np.array([True, False]))
    assert proofs.of(np.array([12, 14]), None, np.array([9.0, 0.7])).right.tolist() == [-1, 4]


def test_the_token_that_is_shown_proved_right_unless_it_is_masked():
    proofs = Proofs(Choices(spaces.Discrete(7)), 7, 3)
    proofs.of(np.zeros(3, np.int64), shown(0, 0, 0), np.zeros(3))
    found = proofs.of(np.array([1, 2, 3]), shown(6, 7, 7), np.array([0.0, 1.0, 0.0]))
    assert found.right.tolist() == [6, 2, -1]


@pytest.mark.parametrize(
    ("env_id", "kwargs", "tokens"),
    [
        ("tropism/PatternWorld-Switch-v0", {}, 100),
        ("tropism/PatternWorld-Affine-v0", {"flat": True}, 97),
        ("tropism/PatternWorld-Switch-v0", {"feedback": "probe"}, 100),
        ("tropism/PatternWorld-Switch-v0", {"feedback": "closed"}, 0),
        ("tropism/PatternWorld-Hop-v0", {}, 0),
        ("tropism/Sanity-Memory-v0", {}, 0),
    ],
)
def test_where_the_right_answer_is_shown(env_id, kwargs, tokens):
    assert tokens_shown(Task(env_id, kwargs)) == tokens
