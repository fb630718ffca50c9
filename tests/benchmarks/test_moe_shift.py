"""The parts of the benchmark of adaptation after a shift that are not a run: how tokens are renamed, and what is recovered."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPTS = Path(__file__).parents[2] / "benchmarks"


def script(name):
    pytest.importorskip("tropism_moe")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [str(SCRIPTS), *sys.path])
        return importlib.import_module(name)


@pytest.mark.parametrize(("share", "renamed"), [(0.0, 0), (0.1, 10), (1.0, 100)])
def test_a_share_of_the_tokens_exchange_their_names_in_every_lane_by_its_seed(share, renamed):
    names = script("moe_shift").Names(100, share, [3, 4])
    tokens = np.arange(100)
    for shown, meant in zip(names.shown, names.meant, strict=True):
        assert (shown != tokens).sum() == renamed
        np.testing.assert_array_equal(meant[shown], tokens)
    assert (names.shown[0] == names.shown[1]).all() == (share == 0)


def test_what_the_agent_sees_and_says_goes_by_the_same_names():
    names = script("moe_shift").Names(100, 1.0, [3, 4])
    tokens = np.array([7, 8])
    observation = {
        "history": np.array([[100, 7], [100, 8]]),
        "prev_action": np.array([7, 100]),
        "query_k": np.zeros(2, np.int64),
    }
    shown = names.show(observation)
    assert (shown["history"][:, 0] == 100).all()
    np.testing.assert_array_equal(names.mean(shown["history"][:, 1]), tokens)
    assert names.mean(shown["prev_action"][[0, 0]])[0] == 7
    assert shown["prev_action"][1] == 100
    assert observation["history"][0, 1] == 7


def test_an_agent_that_knows_the_names_is_right_in_the_shifted_world():
    """The right answer is the token shown next, under its new name."""
    from types import SimpleNamespace

    from tropism.agents.contract import Task

    module, task, seen = script("moe_shift"), Task("tropism/PatternWorld-Switch-v0"), []

    class Follower:
        """Answers, with new names, what the token after the last one would be if the rule were x + 1."""

        def __init__(self, names):
            self.names = names

        def reset(self, mask, seeds):
            assert mask.all()

        def act(self, observation, info):
            assert not info
            world = self.names.mean(observation["history"][:, -1])
            return SimpleNamespace(action=self.names.shown[np.arange(2), (world + 1) % 100])

        def observe(self, action, observation, reward, *rest):
            seen.append((action == observation["history"][:, -1]) == (reward > 0))

    names = module.Names(100, 1.0, [3, 4])
    right = module.play(Follower(names), [(task, names, 200)], [3, 4])
    assert right.shape == (200, 2)
    assert right.mean() > 0.2
    assert np.all(seen)


def test_what_is_recovered_is_a_share_of_what_was_lost():
    rows = {
        "off": {"before": [0.9, 0.8], "last": [0.1, 0.4]},
        "head": {"before": [0.9, 0.8], "last": [0.6, 0.5]},
        "worse": {"before": [0.9, 0.8], "last": [0.0, 0.2]},
    }
    script("moe_shift").compare(rows)
    assert [row["recovered"] for row in rows.values()] == [0.0, 0.5, -0.25]


@pytest.mark.parametrize(
    ("recovered", "parameters", "kept"), [(0.5, 2048, True), (0.49, 2048, False), (0.9, 2049, False)]
)  # fmt: skip
def test_the_promise_is_kept_only_after_every_shift(recovered, parameters, kept):
    rows = {"a": {"recovered": 0.7, "parameters": 9}, "b": {"recovered": recovered, "parameters": parameters}}  # fmt: skip
    record = {"promised": 0.5, "results": {name: {"head": row} for name, row in rows.items()}}
    found, told = script("claims_moe_learning").online(lambda _: record)
    assert found is kept
    assert f"b {recovered:.2f}" in told
