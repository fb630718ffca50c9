"""That the council learns from rewards, measured: ``pytest -m slow -s`` prints what the README tells."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
import torch

from tropism.agents.contract import Budget, Task
from tropism.agents.evaluate import evaluate
from tropism.agents.runs import Run
from tropism_council.agent import CouncilAgent
from tropism_council.config import CouncilConfig

SOLVED = {
    "Sanity-Memory": (40_000, 0.95),
    "Sanity-Credit": (50_000, 0.9),
    "Sanity-Stochastic": (50_000, 13.0),
    "Sanity-Continuous": (100_000, 13.5),
    "Sanity-Dict": (50_000, 15.0),
    "Sanity-MultiDiscrete": (100_000, 14.5),
    "Chemotaxis-L0.2": (200_000, 150.0),
}
"""Budget and return: of a sanity environment (nearly) its threshold; at random, Chemotaxis L0.2 pays 122.5."""
QUICK = {
    "width": 32,
    "voices": 2,
    "ponder_steps": 2,
    "slots": 8,
    "window": 16,
    "lanes": 32,
    "stretch": 32,
    "questions": 4,
}


def learn(directory, task, steps, episodes, **options):
    agent = CouncilAgent(CouncilConfig(threads=1, **options), seed=0)
    began = time.process_time()
    with Run(directory, {"seed": 0}) as run:
        policy: Any = agent.train(task, Budget(steps), run)
    spent = time.process_time() - began
    first = task.test_seeds[0]
    played = evaluate(policy, task, range(first, first + episodes))
    return policy, np.array([e.score for e in played]), played, spent


def test_it_credits_the_first_action_with_the_last_reward_within_seconds(tmp_path):
    task = Task("tropism/Sanity-Credit-v0", kwargs={"length": 6})
    policy, returns, _, _ = learn(tmp_path, task, 12_000, 64, **QUICK)
    assert returns.mean() >= 0.85  # 0 at random
    assert torch.isfinite(policy.actor.gate.threshold)


@pytest.mark.slow
@pytest.mark.parametrize("name", SOLVED)
def test_it_solves(name, tmp_path, record_property):
    steps, wanted = SOLVED[name]
    policy, returns, played, spent = learn(tmp_path, Task(f"tropism/{name}-v0"), steps, 200)
    thought = np.concatenate([episode.compute > 1 for episode in played]).mean()
    facts = {
        "return": round(float(returns.mean()), 2),
        "error": round(float(returns.std(ddof=1) / len(returns) ** 0.5), 2),
        "thought": round(float(thought), 3),
        "drawn": bool(policy.actor.draws),
        "steps": steps,
        "cpu_s": round(spent, 1),
    }
    record_property("figures", facts)
    print(f"\n{name}: {facts}")  # noqa: T201  what the README tells
    assert returns.mean() >= wanted
