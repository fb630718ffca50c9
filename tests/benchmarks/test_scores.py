from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tropism.benchmarks.ledger import Ledger
from tropism.benchmarks.scores import KIND, pack, score_body, unpack
from tropism.errors import OptionError

FIELDS = {
    "agent": {
        "name": "ppo",
        "distribution": "tropism-ppo",
        "version": "0.1.0",
        "source": "ab" * 32,
    },
    "config": {"learning_rate": 3e-4, "layers": (64, 64), "encoding": "onehot", "norm": True},
    "task": {"env_id": "CartPole-v1", "kwargs": {"sutton_barto_reward": False, "noise": 0.1}},
    "env_version": "1.4.0",
    "budget": {"env_steps": 1000, "wall_s": None},
    "train_seed": 3,
    "eval_seeds": (10_000, 10_001),
    "metrics": {"score": np.float64(0.1) + 0.2, "episodes": 2, "lag": None},
    "actions": ["aa" * 32, "bb" * 32],
}
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
LEAVES = st.none() | st.booleans() | st.integers() | NUMBERS | st.text(st.sampled_from("abc"))
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner),
    max_leaves=10,
)


def test_a_score_goes_into_the_ledger_and_comes_back(tmp_path):
    ledger = Ledger.open(tmp_path / "ledger.jsonl", create=True)
    ledger.append(KIND, score_body(**FIELDS))
    body = unpack(Ledger.open(ledger.path)[0]["body"])
    assert body["config"] == FIELDS["config"] | {"layers": [64, 64]}
    assert body["task"] == FIELDS["task"]
    assert body["eval_seeds"] == [10_000, 10_001]
    assert body["actions"] == FIELDS["actions"]
    assert body["metrics"] == {"score": "0.30000000000000004", "episodes": "2.0", "lag": None}
    assert body["machine"]["cpu"]
    assert "numpy" in body["versions"]


@given(VALUES)
def test_packing_is_exact(value):
    assert unpack(pack(value)) == value


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"agent": {"name": "ppo"}}, "agent lacks distribution, version, source"),
        ({"task": {"kwargs": {}}}, "task lacks env_id"),
        ({"actions": ["aa"]}, "1 hashes for 2"),
        ({"metrics": {"score": math.nan}}, "score=nan is not finite"),
        ({"config": {"rate": math.inf}}, "inf is not finite"),
        ({"config": {"$decimal": "1"}}, "reserved"),
    ],
)
def test_what_cannot_be_reproduced_is_refused(changes, message):
    with pytest.raises(OptionError, match=message):
        score_body(**FIELDS | changes)
