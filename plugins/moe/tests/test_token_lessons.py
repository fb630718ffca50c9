"""The model of tokens: what it learns from, and that all the rest of the agent works with it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tropism.agents.contract import Budget, Task
from tropism.agents.evaluate import evaluate
from tropism.agents.runs import Run
from tropism.errors import UnsupportedTaskError
from tropism_moe.agent import MoEAgent
from tropism_moe.agent_config import MoEConfig
from tropism_moe.choices import Choices
from tropism_moe.encoders import encoder_of
from tropism_moe.report import assess
from tropism_moe.teachers import teach
from tropism_moe.token_lessons import TokenLessons, why_not

SWITCH = Task("tropism/PatternWorld-Switch-v0", {"max_episode_steps": 50})
SMALL = MoEConfig(
    tokens=True, width=16, hidden=16, head_width=8, window=8, rank=4, lattice=(2, 1, 1), lanes=4, stretch=16,
)  # fmt: skip


def test_what_is_wanted_is_the_token_that_follows_and_answers_of_an_episodes_end_are_known():
    encoder, choices = encoder_of(SWITCH, tokens=True), Choices(SWITCH.spaces()[1])
    lessons = TokenLessons(SWITCH, teach("random", SWITCH), encoder, choices, 3)
    lessons.begin(np.random.default_rng(0))
    seen, wanted, resets = lessons.next(120, lambda *_: None)
    lessons.env.close()
    assert lessons.sizes == (100, 0)
    assert seen.dtype == torch.int64
    assert seen.shape == (3, 120)
    assert wanted.shape == (3, 120, 1)
    assert resets.sum(1).tolist() == [3, 3, 3]  # at 0, 50 and 100
    follows = ~resets[:, 1:]
    torch.testing.assert_close(wanted[:, :-1, 0][follows], seen[:, 1:][follows].float())


def test_it_learns_plays_and_reports_as_other_models_do(tmp_path):
    with Run(tmp_path / "run", {}) as run:
        policy = MoEAgent(SMALL).train(SWITCH, Budget(6000), run)
    assert policy.served.config.outputs == 0
    rows = {r.player: r for r in assess(tmp_path / "run", SWITCH, SMALL, policy.directory, 2)}
    same = rows["packed"].same
    assert same is not None
    assert same >= 0.98
    policy.save(tmp_path)
    loaded = MoEAgent.load(tmp_path, SWITCH)
    one, other = (evaluate(p, SWITCH, [10_000]) for p in (policy, loaded))
    assert one[0].action_hash == other[0].action_hash


@pytest.mark.parametrize(
    ("env_id", "kwargs", "reason"),
    [
        ("tropism/Chemotaxis-L0.0-v0", {}, "shows no tokens"),
        ("tropism/PatternWorld-Hop-v0", {}, "no Hop"),
        ("tropism/PatternWorld-Switch-v0", {"feedback": "bandit"}, "feedback='reveal'"),
    ],
)
def test_other_tasks_are_refused(env_id, kwargs, reason, tmp_path):
    task = Task(env_id, kwargs)
    assert reason in why_not(task)
    with pytest.raises(UnsupportedTaskError, match=reason), Run(tmp_path, {}) as run:
        MoEAgent(SMALL).train(task, Budget(1), run)
