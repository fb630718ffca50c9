from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tropism.agents.contract import Task
from tropism.benchmarks.board import read_board, write_suite
from tropism.benchmarks.cells import Cell, cell_key
from tropism.benchmarks.entries import decode_floats, encode_floats
from tropism.benchmarks.leaderboard import overall, sections, task_name
from tropism.benchmarks.ledger import Ledger
from tropism.benchmarks.reproduce import reproduce_entry
from tropism.benchmarks.runner import run_cell
from tropism.errors import ArtifactError, OptionError

SWITCH = Task("tropism/PatternWorld-Switch-v0")
SEEDS = (10_000, 10_001)


# -- the board --------------------------------------------------------------------------------------------


def test_rows_and_ranks(board):
    by_name = {section.task: section.rows for section in sections(board.results)}
    short = "(max_episode_steps=400)"
    assert list(by_name) == [
        f"PatternWorld-Fast {short}", f"PatternWorld-Switch {short}", "Sanity-Memory"
    ]  # fmt: skip
    switch = by_name[f"PatternWorld-Switch {short}"]
    assert [(r.player, r.rank) for r in switch] == [
        ("ideal", None), ("two-mode", 1), ("table", 2), ("random", 3)
    ]  # fmt: skip
    ideal, two_mode, table, random = switch
    assert ideal.reference
    assert not table.reference
    assert ideal.estimates["excess-lag"].estimate == 0
    assert ideal.metrics["nis"] == ideal.pareto == pytest.approx(1)
    assert table.pareto == pytest.approx(table.metrics["nis"])
    assert two_mode.pareto is not None
    assert table.pareto is not None
    assert table.pareto - 0.05 < two_mode.pareto < two_mode.metrics["nis"]
    assert random.metrics["nis"] == pytest.approx(0)
    assert 0 < table.metrics["nis"] < two_mode.metrics["nis"] < 1
    assert table.over_next is not None
    assert table.over_next.estimate == 1
    assert random.over_next is None
    assert len(table.curve) == 11
    assert two_mode.gate is not None
    assert two_mode.metrics["compute"] > 1 == table.metrics["compute"]


def test_scores_without_switches(board):
    (memory,) = (s for s in sections(board.results) if s.task == "Sanity-Memory")
    oracle, random = memory.rows
    assert oracle.reference
    assert oracle.samples == 2
    assert set(random.estimates) == {"score", "nis"}
    assert random.curve == ()


def test_standing_across_tasks_leaves_out_those_that_do_not_switch(board):
    found = overall(board.results)
    assert list(found) == ["ideal", "two-mode", "table", "random"]
    assert found["ideal"].estimate == pytest.approx(1)


def test_names_of_tasks():
    assert task_name(Task("tropism/PatternWorld-Fast-v0", {"feedback": "probe", "noise": 0.1})) == (
        "PatternWorld-Fast (feedback=probe, noise=0.1)"
    )
    assert task_name(Task("CartPole-v1")) == "CartPole"


def test_an_agent_joins_a_board_and_replaces_only_itself(tmp_path):
    mine = Cell("last-difference", SWITCH, 0, 0, SEEDS, label="last-difference")
    table = Cell("table", SWITCH, 0, 0, SEEDS, label="table")
    write_suite(tmp_path, "small", "", [table])
    run_cell(table, tmp_path)
    write_suite(tmp_path, "small", "", [mine])
    assert read_board(tmp_path).total == 2
    write_suite(tmp_path, "small", "", [mine, table])
    assert read_board(tmp_path).total == 2
    write_suite(tmp_path, "other", "", [mine])
    assert read_board(tmp_path).total == 1


def test_damaged_directories_are_refused(tmp_path):
    with pytest.raises(ArtifactError, match=r"suite\.json is missing"):
        read_board(tmp_path)
    (tmp_path / "suite.json").write_text("{}")
    with pytest.raises(ArtifactError, match="lists no cells"):
        read_board(tmp_path)


# -- the ledger -------------------------------------------------------------------------------------------


def test_entries_hold_what_is_needed_to_play_again(ledger, board):
    entries = list(Ledger.open(ledger))
    assert len(entries) == len(board.results)
    assert Ledger.open(ledger).verify().checkpoints == 1
    for entry, result in zip(entries, board.results, strict=True):
        body = entry["body"]
        assert Cell.from_json(decode_floats(body["cell"])) == result.cell
        assert body["key"] == result.key == cell_key(result.cell)
        assert body["action_hashes"] == [e.action_hash for e in result.episodes]
        assert [float(s) for s in body["scores"]] == [e.score for e in result.episodes]
        assert {"plugin", "packages", "source", "cpu", "metrics"} <= set(body)


def test_an_entry_is_reproduced_action_by_action(ledger):
    outcome = reproduce_entry(ledger, 1)
    assert outcome.identical
    assert outcome.cell.agent == "table"
    assert outcome.changes == ()
    assert list(outcome.lines())[-1] == "reproduced"


def test_what_differs_is_named(ledger, board, tmp_path):
    body = Ledger.open(ledger)[1]["body"]
    body["action_hashes"][1] = "0" * 64
    body["source"], body["packages"]["numpy"] = "x", "0.1"
    forged = Ledger.open(tmp_path / "forged.jsonl", create=True)
    forged.append("score", body)
    outcome = reproduce_entry(forged.path, 0)
    assert not outcome.identical
    text = "\n".join(outcome.lines())
    assert "seed 10001: actions 0000000000000000 DIFFERENT" in text
    assert "numpy 0.1 -> " in text
    assert "sources" in text


def test_only_scores_can_be_reproduced(ledger, tmp_path):
    with pytest.raises(OptionError, match="out of range"):
        reproduce_entry(ledger, 99)
    other = Ledger.open(tmp_path / "notes.jsonl", create=True)
    other.append("note", {})
    with pytest.raises(OptionError, match="of kind 'note'"):
        reproduce_entry(other.path, 0)


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
))  # fmt: skip
def test_floats_travel_bit_for_bit(value):
    again = decode_floats(encode_floats(value))
    assert repr(again) == repr(value)
