"""``benchmarks/chemotaxis_scores.py``: gaps, and agreement with published figures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tropism.envs.chemotaxis.levels import LEVELS

SCRIPTS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import chemotaxis_scores

    return chemotaxis_scores


def test_a_life_is_counted_once(script):
    found = script.play("L0.2", "heuristic", 20)
    assert set(found) == set(script.MEASURES)
    assert (found["t_alive"] <= 128).all()
    assert (found["fitness"] >= found["t_alive"]).all()


def test_the_gap_is_paired(script):
    oracle = np.array([10.0, 20.0, 30.0])
    found = script.gap(oracle, oracle - 1)
    assert (found["mean"], found["se"], found["interval"], found["share"]) == (1, 0, [1, 1], 0.05)


@pytest.mark.parametrize(("mean", "agrees"), [(154.9, True), (153.0, True), (150.0, False)])
def test_published_figures_are_held_to_99_per_cent(script, mean, agrees):
    fitness = {"mean": mean, "se": 0.35}
    cells = [{"level": "L0.2", "player": "heuristic", "lives": 5120, "fitness": fitness}]
    (row,) = script.published_rows(cells)
    assert row["agrees"] == agrees
    assert row["published"] == 154.91


def test_the_record_in_the_repository_shows_a_gap_on_every_level(script):
    record = json.loads(script.RESULTS.read_bytes())
    assert set(record["gaps"]) == set(LEVELS)
    for level, gap in record["gaps"].items():
        assert gap["interval"][0] > 0, level
        assert gap["share"] >= 0.1, level
    golden = json.loads(script.GOLDEN.read_bytes())
    for level, told in record["levels"].items():
        assert told["golden"] == golden[f"tropism/Chemotaxis-{level}-v0"], f"play {level} anew"
