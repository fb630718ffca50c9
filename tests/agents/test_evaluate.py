from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Dict, Discrete

from tropism.agents.contract import Decision, Task
from tropism.agents.evaluate import evaluate, measure_latency
from tropism.errors import AgentContractError, UnsupportedTaskError

from .players import MOODY, Listener, essence

TASKS = {
    "labels-and-lengths": Task(MOODY),
    "third-party-vector": Task("CartPole-v1"),
    "third-party-box": Task("MountainCarContinuous-v0", {"max_episode_steps": 20}),
    "memory": Task("tropism/Sanity-Memory-v0"),
    "dict": Task("tropism/Sanity-Dict-v0"),
    "continuous": Task("tropism/Sanity-Continuous-v0"),
    "multi-discrete": Task("tropism/Sanity-MultiDiscrete-v0"),
    "own-vector": Task("tropism/PatternWorld-Fast-v0", {"max_episode_steps": 30}),
    "own-vector-flat": Task(
        "tropism/PatternWorld-Fast-v0", {"max_episode_steps": 30, "flat": True}
    ),
}


def listener(task, **kwargs):
    return Listener(task.spaces()[1], **kwargs)


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_nothing_depends_on_lanes_or_order(task):
    seeds = [10_003, 10_000, 10_007, 10_001, 10_002]
    reference = evaluate(listener(task), task, seeds, lanes=1)
    assert [episode.seed for episode in reference] == seeds
    for lanes in (2, 3, 5, 50, None):
        episodes = evaluate(listener(task), task, seeds, lanes=lanes)
        assert essence(episodes) == essence(reference)
        assert {episode.lanes for episode in episodes} == {min(lanes or 5, 5)}
    backwards = evaluate(listener(task), task, seeds[::-1], lanes=2)
    assert essence(backwards) == essence(reference)[::-1]


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_episode_agrees_with_playing_by_hand(task):
    (episode,) = evaluate(listener(task), task, [10_000])
    env = task.make()
    terminated = False
    _, info = env.reset(seed=10_000)
    for t, action in enumerate(episode.action):
        for label, values in episode.labels.items():
            assert values[t] == info[label]
        _, reward, terminated, truncated, info = env.step(action)
        assert reward == episode.reward[t]
        assert (terminated or truncated) == (t == len(episode) - 1)
    assert episode.terminated == terminated
    assert episode.score == pytest.approx(sum(episode.reward))


def test_arrays_have_the_documented_types():
    (episode,) = evaluate(listener(TASKS["labels-and-lengths"]), TASKS["labels-and-lengths"], [3])
    length = len(episode)
    assert episode.reward.dtype == np.float64
    assert episode.compute.dtype == np.int64
    assert episode.gated is not None
    assert episode.gated.dtype == np.bool_
    assert episode.target_log_prob is not None
    assert episode.target_log_prob.dtype == np.float32
    assert np.allclose(episode.target_log_prob, -np.log(3))
    assert episode.labels.keys() == {"mood", "target"}
    shapes = [
        episode.reward,
        episode.action,
        episode.compute,
        episode.gated,
        *episode.labels.values(),
    ]
    assert {array.shape for array in shapes} == {(length,)}
    assert episode.labels["mood"].tolist() == [10 * t + length for t in range(length)]
    assert episode.wall_us > 0
    assert np.array_equal(episode.gated, episode.compute == 5)


def test_labels_are_hidden_unless_privileged():
    task = TASKS["labels-and-lengths"]
    seeds = range(6)
    blind, seeing = listener(task), listener(task)
    evaluate(blind, task, seeds, lanes=2)
    evaluate(seeing, task, seeds, lanes=2, privileged=True)
    assert all(info.keys() == {"hint", "_hint"} for info in blind.infos)
    assert all(info.keys() >= {"mood", "_mood", "target"} for info in seeing.infos)


def test_info_of_a_lane_that_begins_again_does_not_touch_the_others():
    task = TASKS["labels-and-lengths"]
    policy = listener(task)
    evaluate(policy, task, range(8), lanes=3, privileged=True)
    for info in policy.infos:
        assert np.array_equal(info["mood"], info["hint"] @ np.array([10, 1]))


def test_policy_decides_how_many_lanes_at_most():
    task = TASKS["memory"]
    policy = listener(task, max_lanes=2)
    episodes = evaluate(policy, task, range(5))
    assert {episode.lanes for episode in episodes} == {2}
    assert len(policy.heard) == 2


def test_repeated_seeds_give_equal_episodes_and_no_seeds_none():
    task = TASKS["memory"]
    first, second, third = evaluate(listener(task), task, [4, 4, 4], lanes=2)
    assert essence([first]) == essence([second]) == essence([third])
    assert evaluate(listener(task), task, []) == []


@pytest.mark.parametrize("name", ["labels-and-lengths", "own-vector"])
def test_progress_rises_to_the_number_of_seeds(name):
    told = []
    evaluate(listener(TASKS[name]), TASKS[name], range(40), lanes=2, progress=told.append)
    assert told == sorted(told)
    assert told[-1] == 40
    assert len(told) > 2


def test_reproduces_itself_between_calls():
    task, policy = TASKS["memory"], listener(TASKS["memory"])
    assert essence(evaluate(policy, task, [1, 2])) == essence(evaluate(policy, task, [1, 2]))


class Misshapen(Listener):
    def __init__(self, space, **wrong):
        super().__init__(space)
        self.wrong = wrong

    def act(self, observation, info, gate=None):
        good = super().act(observation, info, gate)
        return Decision(
            **{"action": good.action, "compute": good.compute, "log_probs": good.log_probs}
            | self.wrong
        )


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("action", np.zeros((2, 1), int)),
        ("compute", np.ones(3, np.int64)),
        ("log_probs", np.zeros((2, 5), np.float32)),
    ],
)
def test_decision_of_the_wrong_shape_is_refused(field, value):
    task = TASKS["memory"]
    with pytest.raises(AgentContractError, match=f"Decision.{field} must have shape"):
        evaluate(Misshapen(task.spaces()[1], **{field: value}), task, [1, 2])


class Composite(gymnasium.Env):
    def __init__(self):
        self.observation_space, self.action_space = Discrete(2), Dict({"a": Discrete(2)})


def test_composite_actions_are_refused():
    gymnasium.register("tropism-tests/Composite-v0", entry_point=Composite)
    try:
        with pytest.raises(UnsupportedTaskError, match="actions that are arrays"):
            evaluate(Listener(Discrete(2)), Task("tropism-tests/Composite-v0"), [1])
    finally:
        gymnasium.registry.pop("tropism-tests/Composite-v0")


def test_latency_is_measured_at_one_lane_across_episodes():
    policy = listener(TASKS["memory"])
    times = measure_latency(policy, TASKS["memory"], 20)
    assert times.shape == (20,)
    assert (times > 0).all()
    assert len(policy.heard) == 1
