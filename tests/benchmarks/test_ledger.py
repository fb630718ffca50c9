"""What the ledger does, and that each attack on it is seen."""

from __future__ import annotations

import errno
import os

import pytest
from tests.benchmarks.ledgers import body, eight, lines, refused

from tropism.benchmarks.journal import Journal
from tropism.benchmarks.ledger import Ledger, LedgerError
from tropism.benchmarks.merkle import MerkleTree, leaf_hash, verify_consistency, verify_inclusion
from tropism.errors import ArtifactError, OptionError


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger.jsonl"


@pytest.fixture
def ledger(path):
    return eight(path)


# --- what it does


def test_entries_come_back_in_order_after_reopening(ledger, path):
    again = Ledger.open(path)
    assert len(again) == 8
    assert [entry["body"] for entry in again] == [body(i) for i in range(8)]
    assert [entry["seq"] for entry in again] == list(range(8))
    assert again[3] == ledger[3]
    assert set(again[0]) == {"v", "seq", "prev", "ts", "kind", "body"}
    assert again[0]["prev"] == "0" * 64
    assert again[1]["prev"] == leaf_hash(lines(path)[0]).hex()


def test_the_file_is_jsonl_whose_merkle_root_anybody_can_recompute(ledger, path):
    tree = MerkleTree()
    for line in path.read_text(encoding="utf-8").splitlines():
        tree.append(line.encode())
    assert tree.root().hex() == ledger.checkpoint().root == ledger.verify().root


def test_proofs_verify_against_checkpoints(ledger, path):
    old, new = ledger.checkpoint(5), ledger.checkpoint()
    leaf, root = leaf_hash(lines(path)[3]), bytes.fromhex(new.root)
    assert verify_inclusion(leaf, 3, 8, ledger.prove_inclusion(3), root)
    assert verify_consistency(5, 8, bytes.fromhex(old.root), root, ledger.prove_consistency(5))


def test_verify_reports_what_it_covered(ledger):
    ledger.publish()
    report = ledger.verify(checkpoints=[ledger.checkpoint(3)])
    assert (report.size, report.checkpoints, report.signatures) == (8, 2, 0)


def test_append_continues_the_numbers(ledger):
    assert ledger.append("note", {}) == 8
    assert ledger.extend([("note", {}), ("note", {})]) == range(9, 11)
    assert ledger.extend([]) == range(11, 11)


def test_a_batch_costs_one_fsync(ledger, monkeypatch):
    calls, fsync = [], os.fsync
    monkeypatch.setattr(os, "fsync", lambda handle: (calls.append(handle), fsync(handle)))
    ledger.extend([("score", body(i)) for i in range(100)])
    assert len(calls) == 1


def test_two_objects_on_one_file_see_each_others_entries(ledger, path):
    other = Ledger.open(path)
    other.append("note", {"from": "other"})
    assert ledger.append("note", {"from": "first"}) == 9
    assert [entry["body"]["from"] for entry in list(Ledger.open(path))[8:]] == ["other", "first"]


@pytest.mark.parametrize("call", [lambda ledger: Ledger.open(ledger.path), Ledger.verify])
def test_reading_while_another_process_appends_and_publishes(ledger, monkeypatch, call):
    ledger.publish()
    read, others = Journal.read, [Ledger.open(ledger.path)]

    def read_then_let_another_write(journal, offset=0):
        data = read(journal, offset)
        if others:
            other = others.pop()
            other.append("note", {})
            other.publish()
        return data

    monkeypatch.setattr(Journal, "read", read_then_let_another_write)
    call(ledger)
    assert not others


def test_a_missing_ledger_is_not_an_empty_one(path):
    with pytest.raises(ArtifactError, match=r"ledger\.jsonl: there is no such file"):
        Ledger.open(path)
    assert len(Ledger.open(path, create=True)) == 0
    assert not path.exists()


def test_numbers_out_of_range_are_refused(ledger):
    with pytest.raises(IndexError, match="8 entries"):
        ledger[8]
    with pytest.raises(OptionError, match="size=9"):
        ledger.checkpoint(9)


@pytest.mark.parametrize(
    ("kind", "bad", "message"),
    [
        ("score", {"score": 0.5}, "decimal string"),
        ("score", {"score": float("nan")}, "nan"),
        ("score", {"score": {1: 2}}, "type int"),
        ("", {}, "non-empty"),
        (3, {}, "non-empty"),
    ],
)
def test_nothing_of_a_batch_with_a_bad_entry_is_written(ledger, path, kind, bad, message):
    before = path.read_bytes()
    with pytest.raises(OptionError, match=message):
        ledger.extend([("score", body(1)), (kind, bad)])
    assert path.read_bytes() == before
    assert ledger.append("score", body(2)) == 8


# --- failures


def test_a_torn_last_line_is_refused_and_moved_aside_only_on_request(ledger, path):
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"body":{"agent":"p')
    for _ in range(2):  # asking twice changes nothing
        refused(path, 8, "unfinished .19 bytes from byte .* repair=True")
    with pytest.raises(LedgerError, match="unfinished"):
        ledger.append("score", body(8))
    assert path.read_bytes() == whole + b'{"body":{"agent":"p'
    repaired = Ledger.open(path, repair=True)
    assert path.read_bytes() == whole
    assert path.with_name(f"ledger.jsonl.torn-{len(whole)}").read_bytes() == b'{"body":{"agent":"p'
    assert repaired.append("score", body(8)) == 8
    assert ledger.append("score", body(9)) == 9


def test_repair_of_a_sound_ledger_changes_nothing(ledger, path):
    before = path.read_bytes()
    Ledger.open(path, repair=True)
    assert path.read_bytes() == before


def test_repair_never_cuts_what_a_checkpoint_covers(ledger, path):
    ledger.publish()
    path.write_bytes(path.read_bytes()[:-1])  # an attacker takes the last line end away
    before = path.read_bytes()
    refused(path, 7, "covers 8 entries, 7 are left", repair=True)
    assert path.read_bytes() == before


def test_a_failing_disk_leaves_the_ledger_as_it_was(ledger, path, monkeypatch):
    before, fsync, failures = path.read_bytes(), os.fsync, [OSError(errno.ENOSPC, "No space left")]

    def failing_once(handle):
        if failures:
            raise failures.pop()
        fsync(handle)

    monkeypatch.setattr(os, "fsync", failing_once)
    with pytest.raises(LedgerError, match=r"No space left.*before it are intact") as caught:
        ledger.extend([("score", body(i)) for i in range(50)])
    assert isinstance(caught.value.__cause__, OSError)
    assert path.read_bytes() == before
    assert ledger.append("score", body(8)) == 8  # once there is space again
    assert ledger.verify().size == 9
