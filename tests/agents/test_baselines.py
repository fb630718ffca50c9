from __future__ import annotations

import numpy as np
import pytest

from tropism.agents.conformance import agent_conformance
from tropism.agents.contract import Budget, Task
from tropism.agents.evaluate import RandomGate, evaluate
from tropism.agents.plugins import PluginHost
from tropism.agents.runs import Run, load_policy, save_policy
from tropism.errors import ArtifactError

HOST = PluginHost([], {})
SWITCH = Task("tropism/PatternWorld-Switch-v0")
SHORT = Task(SWITCH.env_id, {"max_episode_steps": 60})
SEEDS = range(10_000, 10_004)
AT_HOME = {"stay": "tropism/Chemotaxis-L0.2-v0", "probe": "tropism/Chemotaxis-L0.2-v0"}
"""Where baselines play that PatternWorld does not offer."""


def policy_of(name, task, tmp_path, **config):
    agent = HOST.make_agent(name, config)
    assert agent.supports(task) is None
    with Run(tmp_path / f"{name}-{len(list(tmp_path.iterdir()))}", {"agent": name}) as run:
        return agent.train(task, Budget(), run)


def mean_score(name, task, tmp_path, gate=None, **config):
    policy = policy_of(name, task, tmp_path, **config)
    privileged = HOST.agent_class(name).privileged
    episodes = evaluate(policy, task, SEEDS, privileged=privileged, gate=gate)
    return np.mean([episode.score for episode in episodes]), episodes


@pytest.mark.parametrize("name", sorted(HOST.agents()))
def test_every_baseline_keeps_the_contract(name):
    """Where an environment offers it; and everywhere else it says that it cannot."""
    passed = agent_conformance(name, AT_HOME.get(name, SHORT), host=HOST)
    assert "lanes_are_independent" in passed
    assert "saving_keeps_the_policy" in passed


@pytest.mark.parametrize(
    "env_id",
    [
        "CartPole-v1",
        "MountainCarContinuous-v0",
        "tropism/Sanity-MultiDiscrete-v0",
        "tropism/Sanity-Continuous-v0",
    ],
)
def test_random_plays_any_bounded_action_space(env_id):
    agent_conformance("random", env_id, host=HOST, probes=())


def test_unbounded_actions_are_declined_with_a_reason(monkeypatch):
    from gymnasium.spaces import Box
    from gymnasium.wrappers import TransformAction

    monkeypatch.setattr(
        Task,
        "make",
        lambda self: TransformAction(original(self), lambda a: a, Box(-np.inf, np.inf, (1,))),
    )
    reason = HOST.make_agent("random").supports(Task("CartPole-v1"))
    assert reason is not None
    assert "bounded" in reason


original = Task.make


def test_missing_baseline_is_declined_by_name():
    reason = HOST.make_agent("ideal").supports(Task("CartPole-v1"))
    assert reason == "CartPole-v1 offers no baseline 'ideal'"
    assert HOST.make_agent("two-mode").supports(Task("tropism/Sanity-Memory-v0")) is not None
    assert HOST.make_agent("random").supports(Task("CartPole-v1", agents=("a", "b"))) is not None


def test_order_on_switching_rules(tmp_path):
    random, table, ideal = (
        mean_score(name, SWITCH, tmp_path)[0] for name in ("random", "table", "ideal")
    )
    assert random < 30 < table < ideal


def test_log_probabilities_reach_the_episode(tmp_path):
    _, (episode, *_) = mean_score("ideal", SWITCH, tmp_path)
    assert episode.target_log_prob is not None
    assert episode.target_log_prob.mean() > -0.5
    assert (episode.compute == 1).all()


def test_oracle_needs_its_labels(tmp_path):
    score, _ = mean_score("oracle", SWITCH, tmp_path)
    assert score == 1000
    with pytest.raises(KeyError):
        evaluate(policy_of("oracle", SWITCH, tmp_path), SWITCH, SEEDS)


def test_saved_baseline_of_another_task_is_refused(tmp_path):
    directory = save_policy(policy_of("random", SWITCH, tmp_path), tmp_path / "saved")
    random, table = HOST.agent_class("random"), HOST.agent_class("table")
    load_policy(random, directory, SWITCH)
    with pytest.raises(ArtifactError, match="observation_space is"):
        load_policy(random, directory, Task("CartPole-v1"))
    with pytest.raises(ArtifactError, match="baseline is 'random', the task needs 'table'"):
        load_policy(table, directory, SWITCH)


def test_acting_before_reset_is_refused(tmp_path):
    for name in ("random", "two-mode"):
        with pytest.raises(RuntimeError, match="before reset"):
            policy_of(name, SWITCH, tmp_path).act(None, {})


# -- two modes ------------------------------------------------------------------------------------------------


def test_two_modes_lie_between_table_and_ideal_and_cost_what_they_say(tmp_path):
    table, ideal = (mean_score(name, SWITCH, tmp_path)[0] for name in ("table", "ideal"))
    score, episodes = mean_score("two-mode", SWITCH, tmp_path, costly_units=6)
    assert table < score < ideal
    for episode in episodes:
        assert episode.gated is not None
        assert np.array_equal(episode.compute, np.where(episode.gated, 6, 1))
        assert 0.05 < episode.gated.mean() < 0.6


def test_surprise_is_worth_more_than_chance_at_the_same_rate(tmp_path):
    score, episodes = mean_score("two-mode", SWITCH, tmp_path)
    rate = float(np.mean([episode.gated.mean() for episode in episodes]))
    control, controls = mean_score("two-mode", SWITCH, tmp_path, gate=RandomGate(rate, seed=1))
    assert np.mean([c.gated.mean() for c in controls]) == pytest.approx(rate, abs=0.03)
    assert score > control + 20


def test_gate_always_open_is_the_filter_and_always_closed_the_table(tmp_path):
    for rate, name in ((1.0, "ideal"), (0.0, "table")):
        _, imposed = mean_score("two-mode", SWITCH, tmp_path, gate=RandomGate(rate))
        _, pure = mean_score(name, SWITCH, tmp_path)
        assert [e.action_hash for e in imposed] == [e.action_hash for e in pure]


def test_gate_opens_after_a_switch(tmp_path):
    _, episodes = mean_score("two-mode", SWITCH, tmp_path)
    gated = np.concatenate([e.gated for e in episodes])
    since = np.concatenate([e.labels["since_switch"] for e in episodes])
    settled = np.concatenate([np.arange(len(e)) > 300 for e in episodes])
    after = gated[settled & (since >= 1) & (since <= 2)].mean()
    later = gated[settled & (since >= 40)].mean()
    assert after > 0.8 > 0.2 > later


@pytest.mark.parametrize("feedback", ["bandit", "probe", "closed"])
def test_two_modes_where_tokens_are_hidden(tmp_path, feedback):
    task = Task(SWITCH.env_id, {"feedback": feedback, "max_episode_steps": 60})
    reason = HOST.make_agent("two-mode").supports(task)
    if reason is None:
        agent_conformance("two-mode", task, host=HOST, probes=())
    else:
        assert "belief" in reason or "baseline" in reason


def test_flat_and_dict_observations_give_the_same_actions(tmp_path):
    flat = Task(SWITCH.env_id, {"flat": True})
    _, one = mean_score("two-mode", SWITCH, tmp_path)
    _, other = mean_score("two-mode", flat, tmp_path)
    assert [e.action_hash for e in one] == [e.action_hash for e in other]


def test_settings_are_saved(tmp_path):
    policy = policy_of("two-mode", SWITCH, tmp_path, threshold=3.5, costly_units=9)
    directory = save_policy(policy, tmp_path / "saved")
    assert load_policy(HOST.agent_class("two-mode"), directory, SWITCH).config == policy.config
