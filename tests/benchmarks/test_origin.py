"""The restatement of koki2 that ``benchmarks/bench_evolution.py`` measures against."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("jax")
SCRIPTS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(autouse=True)
def _scripts(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))


@pytest.mark.parametrize(
    ("world", "player", "fitness", "bad_arrivals"),
    [("L0.2", "random", 133.95, 0.984), ("L1.0", "greedy", 130.79, 3.44)],
)
def test_simple_players_score_as_koki2_told(world, player, fitness, bad_arrivals):
    """koki2 played 512 lives; ours are as many, so both are wrong by a standard error."""
    from origin_scores import WORLDS, scores

    lives = scores(WORLDS[world], player, 512)
    for told, ours in ((fitness, lives.fitness), (bad_arrivals, lives.bad)):
        assert abs(told - ours.mean()) < 4 * 2**0.5 * ours.std() / 512**0.5


def test_edges_leave_every_unit_eight_times_and_never_return():
    from origin_network import EDGES, NUM_PARAMS, OUT_DEGREE, UNITS, edges

    source, target = edges()
    assert NUM_PARAMS == 581
    assert (source != target).all()
    assert np.bincount(source).tolist() == [OUT_DEGREE] * UNITS
    assert len(set(zip(source.tolist(), target.tolist(), strict=True))) == EDGES


@pytest.mark.parametrize("plastic", [pytest.param(False, marks=pytest.mark.slow), "spike"])
def test_a_few_generations_run(plastic):
    from origin_evolution import origin_evolve

    best, curve = origin_evolve(0, 3, population=4, episodes=2, steps=8, plastic=plastic)
    assert best.shape == (581,)
    assert curve.shape == (3,)
    assert (curve >= 1).all()
