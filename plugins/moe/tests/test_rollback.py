from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from tropism_moe.rollback import Rollback


def test_a_snapshot_that_does_better_returns_bit_for_bit():
    first = {"x": torch.tensor([0.1, -0.0, 1e-45])}
    rollback = Rollback(first, window=4, margin=0.1)
    first["x"] += 1  # the snapshot is a copy
    worse = {"x": torch.randn(3)}
    rollback.watch(torch.full((2,), 1.2), torch.ones(2))
    assert rollback.judge(worse)["x"] is worse["x"]  # the window is not full
    rollback.watch(torch.full((2,), 1.2), torch.ones(2))
    found = rollback.judge(worse)
    assert found["x"].numpy().tobytes() == np.array([0.1, -0.0, 1e-45], np.float32).tobytes()
    assert rollback.count == 1
    found["x"] += 1
    assert rollback.snapshot["x"][2] == 1e-45


@pytest.mark.parametrize(
    ("now", "before", "restored", "taken"),
    [
        (1.05, 1.0, False, False),  # worse, within the margin
        (1.11, 1.0, True, False),
        (0.99, 1.0, False, True),
        (-0.95, -1.0, False, False),
        (-0.85, -1.0, True, False),
        (math.nan, 1.0, True, False),
        (math.inf, 1.0, True, False),
        (9.0, 10.0, False, True),  # everything has become worse: the world has changed
    ],
)
def test_a_verdict_compares_losses_on_the_same_data(now, before, restored, taken):
    rollback, current = Rollback({"x": torch.zeros(2)}, 3, 0.1), {"x": torch.ones(2)}
    rollback.watch(torch.full((3,), now), torch.full((3,), before))
    found = rollback.judge(current)
    assert torch.equal(found["x"], torch.zeros(2) if restored else torch.ones(2))
    assert torch.equal(rollback.snapshot["x"], torch.ones(2) if taken else torch.zeros(2))
    assert rollback.count == restored
    rollback.watch(torch.full((2,), 100.0), torch.zeros(2))
    assert rollback.judge(current)["x"] is current["x"]  # a new window has begun
