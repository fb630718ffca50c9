"""The ideal observer's belief beside recorded play."""

from __future__ import annotations

import numpy as np

from tropism.agents.contract import Budget, Task
from tropism.agents.evaluate import evaluate
from tropism.agents.plugins import default_host


def played(env_id, agent, seeds, belief=True, **kwargs):
    task = Task(env_id, kwargs)
    policy = default_host().make_agent(agent).train(task, Budget(), None)
    return evaluate(policy, task, seeds, belief=belief)


def test_the_ideal_agent_and_the_replayed_belief_agree():
    for episode in played("tropism/PatternWorld-Noisy-v0", "ideal", range(10_000, 10_003)):
        recorded = episode.labels["ideal_log_prob"]
        np.testing.assert_allclose(recorded, episode.target_log_prob, rtol=1e-4, atol=1e-5)
        assert episode.labels["belief_kl"].max() > 0.5
        switched = episode.labels["switched"].astype(bool)
        after = np.flatnonzero(switched[:-1]) + 1
        assert episode.labels["belief_kl"][after].mean() > 5 * episode.labels["belief_kl"].mean()


def test_belief_is_recorded_only_when_asked_for_and_only_where_there_is_one():
    plain = played("tropism/PatternWorld-Noisy-v0", "table", [10_000], belief=False)
    assert "belief_kl" not in plain[0].labels
    sanity = played("tropism/Sanity-Dict-v0", "random", [10_000])
    assert sanity[0].labels == {}
    masked = played("tropism/PatternWorld-Recur-v0", "random", [10_000], feedback="bandit")
    assert "belief_kl" not in masked[0].labels
    assert "rule" in masked[0].labels
