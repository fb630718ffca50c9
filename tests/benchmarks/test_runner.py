from __future__ import annotations

import json
import os

import numpy as np
import pytest

from tropism.agents.contract import Task
from tropism.benchmarks.cells import Cell, cell_key
from tropism.benchmarks.engine import attempt, run_cells
from tropism.benchmarks.gate import compare, pool
from tropism.benchmarks.runner import load_result, run_cell
from tropism.errors import ArtifactError, OptionError, UnknownNameError, UnsupportedTaskError


def test_a_cell_leaves_two_files_named_by_its_key(memory, tmp_path):
    path = run_cell(memory(), tmp_path)
    assert path.stem == cell_key(memory())
    assert sorted(p.name for p in path.parent.iterdir()) == [
        f"{path.stem}.json",
        f"{path.stem}.npz",
    ]
    result = load_result(path)
    assert result.cell == memory()
    assert [e.seed for e in result.episodes] == [10_000, 10_001, 10_002, 10_003]
    assert result.record["action_hashes"] == [e.action_hash for e in result.episodes]
    assert result.record["latency_us"] > 0
    assert result.record["packages"]["numpy"] == np.__version__


def test_a_cell_is_a_pure_function(memory, tmp_path):
    first = load_result(run_cell(memory(), tmp_path / "a"))
    second = load_result(run_cell(memory(), tmp_path / "b"))
    assert first.record["action_hashes"] == second.record["action_hashes"]


def test_a_finished_cell_is_not_run_again(memory, tmp_path, monkeypatch):
    path = run_cell(memory(), tmp_path)
    monkeypatch.setattr("tropism.benchmarks.runner._trained", None)
    before = path.read_bytes()
    assert run_cell(memory(), tmp_path) == path
    assert path.read_bytes() == before


def test_a_cell_that_was_not_marked_as_finished_is_run_again(memory, tmp_path):
    path = run_cell(memory(), tmp_path)
    path.unlink()
    assert load_result(run_cell(memory(), tmp_path)).key == path.stem


@pytest.mark.parametrize("damage", ["truncate", "edit", "remove", "json"])
def test_damaged_cells_are_refused(memory, tmp_path, damage):
    path = run_cell(memory(), tmp_path)
    data = path.with_suffix(".npz")
    content = data.read_bytes()
    if damage == "truncate":
        data.write_bytes(content[:-10])
    elif damage == "edit":
        data.write_bytes(content[:40] + bytes([content[40] ^ 1]) + content[41:])
    elif damage == "remove":
        data.unlink()
    else:
        path.write_text(path.read_text()[:-20])
    with pytest.raises(ArtifactError, match=path.stem):
        load_result(path)


def test_what_cannot_be_played_says_why(memory, tmp_path):
    with pytest.raises(UnsupportedTaskError, match="table does not play"):
        run_cell(memory("table"), tmp_path)
    with pytest.raises(UnknownNameError, match="'random'"):
        run_cell(memory("randon"), tmp_path)
    with pytest.raises(UnknownNameError, match="option"):
        run_cell(memory(config={"speed": 3}), tmp_path)
    assert not list((tmp_path / "cells").glob("*.json"))


def test_privileged_players_are_marked_and_not_timed(tmp_path):
    task = Task("tropism/PatternWorld-Switch-v0")
    record = load_result(run_cell(Cell("oracle", task, 0, 0, (10_000,)), tmp_path)).record
    assert record["privileged"] is True
    assert record["latency_us"] is None
    assert record["gate"] is None


def test_a_gate_that_knows_when_to_think_beats_a_random_one(tmp_path):
    task = Task("tropism/PatternWorld-Switch-v0")
    cell = Cell("two-mode", task, 0, 0, (10_000, 10_001, 10_002))
    gate = load_result(run_cell(cell, tmp_path)).record["gate"]
    assert 0 < gate["rate"] < 1
    assert gate["low"] <= gate["gain"] <= gate["high"]
    assert gate["low"] > 0
    assert gate["compute"] == pytest.approx(gate["control_compute"], rel=0.1)


def test_a_gate_compared_by_hand(episode):
    own = [episode([1, 1, 1], compute=[8, 1, 1]), episode([1, 1, 0], compute=[8, 1, 1])]
    control = [episode([1, 0, 0], compute=[1, 8, 1]), episode([1, 0, 0], compute=[1, 1, 8])]
    found = compare(own, control, 1 / 3)
    assert found.gain == 1.5
    assert (found.low, found.high) == (1.0, 2.0)
    assert found.scores == (3.0, 2.0)
    assert found.compute == found.control_compute == pytest.approx(10 / 3)


def test_gates_of_several_training_seeds_are_pooled():
    costs = {"rate": 0.25, "compute": 2.0, "control_compute": 3.0}
    good = {"scores": (3.0, 5.0), "control_scores": (1.0, 1.0), **costs}
    idle = {"scores": (1.0, 1.0), "control_scores": (1.0, 1.0), **costs, "rate": 0.75}
    found = pool([good, idle])
    assert (found["gain"], found["rate"], found["control_compute"]) == (1.5, 0.5, 3.0)
    assert found["low"] == 0  # the training seeds vary, and the interval knows
    assert found["high"] == pytest.approx(4)
    assert pool([good])["low"] == 2


# -- the engine -------------------------------------------------------------------------------------------


def test_cells_run_in_processes_and_resume(memory, tmp_path):
    cells = [memory(train_seed=seed) for seed in range(3)]
    seen = []
    outcomes = run_cells(cells, tmp_path, workers=2, report=seen.append)
    assert outcomes == seen
    assert {o.state for o in outcomes} == {"done"}
    assert len(list((tmp_path / "cells").glob("*.json"))) == 3
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "cells").iterdir()}
    run_cells(cells, tmp_path, workers=1)
    assert before == {p: p.stat().st_mtime_ns for p in (tmp_path / "cells").iterdir()}


def test_failures_are_told_and_stop_nobody(memory, tmp_path, third_party, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    names = ("odd-raises", "randon", "table", "random", "oracle")
    outcomes = run_cells([memory(name) for name in names], tmp_path, workers=2)
    by_agent = {o.cell.agent: o for o in outcomes}
    assert {name: by_agent[name].state for name in names} == dict(
        zip(names, ("failed", "failed", "skipped", "done", "done"), strict=True)
    )
    assert "ZeroDivisionError: by the plugin, threads: 1" in by_agent["odd-raises"].detail
    assert "OMP_NUM_THREADS" not in os.environ
    assert "Traceback" in by_agent["odd-raises"].detail
    assert by_agent["randon"].detail.startswith("UnknownNameError: Unknown agent 'randon'")
    assert "table does not play" in by_agent["table"].detail


def test_a_worker_that_dies_fails_its_cell_only(memory, tmp_path, third_party):
    cells = [memory("odd-dies"), *(memory(train_seed=seed) for seed in range(3))]
    outcomes = run_cells(cells, tmp_path, workers=1)
    assert [o.state for o in outcomes] == ["failed", "done", "done", "done"]
    assert "died" in outcomes[0].detail
    assert (tmp_path / "workers.log").read_text().startswith("last words")


def test_at_least_one_worker(tmp_path):
    with pytest.raises(OptionError, match="workers must be >= 1, got 0"):
        run_cells([], tmp_path, workers=0)


def test_a_full_disk_leaves_no_finished_cell(memory, tmp_path, monkeypatch):
    def full(path, data):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr("tropism.benchmarks.runner.write_atomic", full)
    outcome = attempt(memory(), str(tmp_path))
    assert outcome.state == "failed"
    assert "No space left" in outcome.detail
    assert not list((tmp_path / "cells").glob("*.json"))
    monkeypatch.undo()
    record = json.loads(run_cell(memory(), tmp_path).read_text())
    assert record["cell"] == memory().to_json()
