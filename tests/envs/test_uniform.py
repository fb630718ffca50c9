"""The uniform player of every environment: even, lane by lane, from the seeds of the lanes."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest

from tropism.envs.core.uniform import UniformBaseline
from tropism.errors import OptionError


@pytest.mark.parametrize(
    "space",
    [
        gymnasium.spaces.Discrete(5, start=-2),
        gymnasium.spaces.MultiDiscrete([2, 7]),
        gymnasium.spaces.MultiBinary((2, 3)),
        gymnasium.spaces.Box(-2.0, 3.0, (2,), np.float32),
    ],
    ids=str,
)
def test_the_uniform_player_covers_the_space_evenly(space: Any) -> None:
    player = UniformBaseline(3, space)
    player.reset(np.ones(3, np.bool_), np.array([1, 2, 1], np.uint64))
    plays = [player.act(None, {}) for _ in range(500)]
    actions = np.array([action for action, _ in plays])
    assert actions.dtype == space.dtype
    assert all(row in space for step in actions[:20] for row in step)
    assert np.array_equal(actions[:, 0], actions[:, 2])
    assert not np.array_equal(actions[:, 0], actions[:, 1])
    draws = np.array([space.sample() for _ in range(4000)], np.float64)
    tolerance = 5 * draws.std(0) / 500**0.5
    assert (np.abs(actions[:, 0].mean(0) - draws.mean(0)) < tolerance).all()
    if isinstance(space, gymnasium.spaces.Discrete):
        assert plays[0][1] is not None
        np.testing.assert_allclose(plays[0][1], np.full((3, 5), -np.log(5)))


def test_the_uniform_player_needs_a_bounded_space() -> None:
    with pytest.raises(OptionError, match="bounded float Box"):
        UniformBaseline(1, gymnasium.spaces.Box(-np.inf, np.inf, (2,)))
