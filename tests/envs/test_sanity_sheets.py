"""The data sheets of the sanity environments tell the truth: scores, thresholds, baselines, pictures."""

from __future__ import annotations

import re
from importlib import import_module
from itertools import product
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from tropism.envs.registration import SANITY
from tropism.envs.sanity.stochastic import TARGET
from tropism.errors import UnknownNameError

IDS = [row[0] for row in SANITY]
NAMES = ("random", "heuristic", "oracle")
LANES = 500
SHEET_HEADINGS = (
    "Description",
    "Action Space",
    "Observation Space",
    "Rewards",
    "Starting State",
    "Episode End",
    "Arguments",
    "Reset Options",
    "Reference scores",
    "Version History",
)


def _bare(env_id: str, **kwargs: Any) -> Any:
    return gymnasium.make(env_id, **kwargs).unwrapped


def _returns(env_id: str, player: Any, lanes: int = LANES) -> np.ndarray[Any, Any]:
    """Return of one episode in each lane; lane ``i`` is seeded ``i``."""
    envs = SyncVectorEnv(
        [lambda: gymnasium.make(env_id)] * lanes, autoreset_mode=AutoresetMode.DISABLED
    )
    observation, info = envs.reset(seed=0)
    player.reset(np.ones(lanes, np.bool_), np.arange(lanes, dtype=np.uint64) + 2**40)
    total, ended = np.zeros(lanes), np.zeros(lanes, np.bool_)
    while not ended.all():
        action, _ = player.act(observation, info)
        observation, reward, terminated, truncated, info = envs.step(action)
        total, ended = total + reward, terminated | truncated
    return total


@pytest.fixture(scope="module")
def scores() -> dict[tuple[str, str], np.ndarray[Any, Any]]:
    return {
        (env_id, name): _returns(env_id, _bare(env_id).make_baseline(name, LANES))
        for env_id, name in product(IDS, NAMES)
    }


@pytest.mark.parametrize("env_id", IDS)
def test_the_oracle_reaches_the_threshold_and_the_others_do_not(env_id: str, scores: Any) -> None:
    threshold = gymnasium.spec(env_id).reward_threshold
    assert scores[env_id, "oracle"].mean() >= threshold
    assert scores[env_id, "heuristic"].mean() < threshold
    assert scores[env_id, "random"].mean() < threshold


@pytest.mark.parametrize("env_id", IDS)
def test_the_data_sheet_is_complete_and_its_scores_are_measured(env_id: str, scores: Any) -> None:
    sheet = type(_bare(env_id)).__doc__ or ""
    assert re.findall(r"^\s*## (.+)$", sheet, re.M) == list(SHEET_HEADINGS)
    for name in NAMES:
        written = float(re.search(rf"\| {name} \| (\S+) \|", sheet).group(1))  # type: ignore[union-attr]
        returns = scores[env_id, name]
        assert returns.mean() == pytest.approx(
            written, abs=0.01 + 4 * returns.std() / LANES**0.5
        ), name


@pytest.mark.parametrize("env_id", IDS)
def test_baselines_are_named_and_unknown_ones_refused(env_id: str) -> None:
    env = _bare(env_id)
    assert env.baselines == NAMES
    assert env.metadata["labels"] == ()
    assert all(env.make_baseline(name, 2).num_lanes == 2 for name in NAMES)
    with pytest.raises(UnknownNameError, match="Did you mean 'oracle'"):
        env.make_baseline("oracel", 2)


@pytest.mark.parametrize("env_id", IDS)
def test_episodes_are_short_and_pictures_readable(env_id: str) -> None:
    frames, texts = [], []
    for mode, seen in (("rgb_array", frames), ("ansi", texts)):
        env = gymnasium.make(env_id, render_mode=mode)
        env.action_space.seed(0)
        env.reset(seed=3)
        ended = False
        while not ended:
            seen.append(env.render())
            _, _, terminated, truncated, _ = env.step(env.action_space.sample())
            ended = terminated or truncated
    assert 8 <= len(frames) <= 32
    assert all(frame.shape == frames[0].shape and min(frame.shape[:2]) >= 48 for frame in frames)
    assert not np.array_equal(frames[0], frames[-1])
    assert len(set(texts)) > 1


def test_the_score_of_a_mix_is_the_quadratic_score(scores: Any) -> None:
    p = np.array(TARGET) / 10
    for name, mix in (("random", np.full(4, 0.25)), ("oracle", p)):
        returns = scores["tropism/Sanity-Stochastic-v0", name]
        exact = 31 * (p @ p - (mix - p) @ (mix - p))
        assert abs(returns.mean() - exact) < 4 * returns.std() / LANES**0.5


def test_full_speed_overshoots_where_the_oracle_arrives(scores: Any) -> None:
    env_id = "tropism/Sanity-Continuous-v0"
    assert (scores[env_id, "oracle"] >= scores[env_id, "heuristic"] - 1e-5).all()


def test_entry_points_are_strings_that_load() -> None:
    for _, entry_point, _, _ in SANITY:
        module, name = entry_point.split(":")
        assert hasattr(import_module(module), name)
