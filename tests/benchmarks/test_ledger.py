"""What the ledger does, and that each attack on it is seen."""

from __future__ import annotations

import errno
import json
import os

import pytest

from tropism.benchmarks.canonical import encode
from tropism.benchmarks.journal import Journal
from tropism.benchmarks.ledger import Ledger, LedgerError
from tropism.benchmarks.merkle import MerkleTree, leaf_hash, verify_consistency, verify_inclusion
from tropism.errors import ArtifactError, OptionError


def body(i):
    return {"agent": "ppo", "metrics": {"score": f"0.{i}"}, "seeds": [i, i + 1]}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger.jsonl"


def eight(path):
    """Eight entries on disk, nothing published."""
    ledger = Ledger.open(path, create=True)
    ledger.extend([("score", body(i)) for i in range(8)])
    return ledger


@pytest.fixture
def ledger(path):
    return eight(path)


def lines(path):
    return path.read_bytes().splitlines()


def write(path, entries):
    path.write_bytes(b"".join(line + b"\n" for line in entries))


def edited(line, **changes):
    return encode(json.loads(line) | changes)


def refused(path, seq, reason, **options):
    with pytest.raises(LedgerError, match=reason) as caught:
        Ledger.open(path, **options)
    assert caught.value.seq == seq
    assert f"entry {seq}" in str(caught.value)
    assert isinstance(caught.value, ArtifactError)


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


# --- attacks that the entries alone show


@pytest.mark.parametrize("seq", range(7))
def test_an_edited_entry_is_seen(ledger, path, seq):
    entries = lines(path)
    entries[seq] = edited(entries[seq], body=body(99))
    write(path, entries)
    refused(path, seq, "edited")
    with pytest.raises(LedgerError):
        ledger.verify()


def test_an_edited_first_entry_is_seen(ledger, path):
    entries = lines(path)
    entries[0] = edited(entries[0], kind="genesis")
    write(path, entries)
    refused(path, 0, "its hash is not the one entry 1 names")


def test_a_first_entry_that_names_a_predecessor_is_seen(ledger, path):
    entries = lines(path)
    entries[0] = edited(entries[0], prev="1" * 64)
    write(path, entries)
    refused(path, 0, "64 zeros")


@pytest.mark.parametrize(
    ("place", "seq"), [(5, 4), (5, 6), (5, -1), (5, "5"), (5, None), (1, True), (0, False)]
)
def test_a_sequence_number_out_of_order_is_seen(ledger, path, place, seq):
    entries = lines(path)
    entries[place] = edited(entries[place], seq=seq)
    write(path, entries)
    refused(path, place, "missing, repeated or out of order")


def test_a_missing_sequence_number_is_seen(ledger, path):
    entries = lines(path)
    del entries[5]
    write(path, entries)
    refused(path, 5, "its seq is 6: entries are missing")
    write(path, entries[1:])
    refused(path, 0, "its seq is 1: entries are missing")


def test_a_repeated_entry_is_seen(ledger, path):
    entries = lines(path)
    write(path, [*entries, entries[-1]])
    refused(path, 8, "its seq is 7: entries are missing, repeated")


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b'"0.4"', b"NaN", "NaN is no integer"),
        (b'"0.4"', b"0.4", "0.4 is no integer"),
        (b'"agent":"ppo"', b'"agent":"ppo","agent":"ppo"', "'agent' occurs twice"),
        (b'"v":1', b'"v":1,"v":1', "'v' occurs twice"),
        (b'"v":1', b'"v":2', "format version 2"),
        (b'"v":1', b'"v":true', "format version True"),
        (b'"v":1', b'"w":1', "exactly the keys"),
        (b'"kind":"score"', b'"kind":""', "kind is ''"),
        (b'"kind":"score"', b'"kind": "score"', "white space"),
        (b'"ts":"2', b'"ts":"x', "ts is"),
        (b'"agent":"ppo"', b'"agent":"ppo', "delimiter|control character|Expecting"),
    ],
)
def test_an_entry_that_is_no_canonical_json_is_seen(ledger, path, old, new, reason):
    entries = lines(path)
    assert old in entries[4]
    entries[4] = entries[4].replace(old, new)
    write(path, entries)
    refused(path, 4, reason)


def test_a_body_that_is_no_object_or_an_empty_line_is_seen(ledger, path):
    entries = lines(path)
    write(path, [*entries[:4], edited(entries[4], body=[]), *entries[5:]])
    refused(path, 4, "body is a list")
    write(path, [*entries[:4], b"", *entries[4:]])
    refused(path, 4, "Expecting value")


def test_repeating_the_last_leaf_changes_the_root():
    # The duplicate-leaf collision: with odd levels padded, 3 leaves and 4 would share one root.
    entries = [b"a", b"b", b"c"]
    padded, plain = MerkleTree(), MerkleTree()
    for entry in entries:
        plain.append(entry)
        padded.append(entry)
    padded.append(b"c")
    assert padded.root() != plain.root()


def test_changing_what_was_passed_in_or_handed_out_changes_nothing(path):
    ledger, mine = Ledger.open(path, create=True), body(1)
    ledger.append("score", mine)
    mine["metrics"]["score"] = "1.0"
    ledger[0]["body"]["seeds"].append(7)
    next(iter(ledger))["kind"] = "forged"
    ledger.append("score", mine)
    assert ledger[0]["body"] == body(1)
    assert ledger[0]["kind"] == "score"
    assert ledger.verify().size == 2


# --- attacks that only a retained checkpoint, or what was read before, shows


def test_a_truncated_tail_is_seen_against_a_retained_checkpoint(ledger, path):
    kept = ledger.checkpoint()
    write(path, lines(path)[:5])
    left = Ledger.open(path)  # consistent in itself
    with pytest.raises(LedgerError, match="tail was truncated") as caught:
        left.verify(checkpoints=[kept])
    assert caught.value.seq == 5


def test_a_full_rewrite_with_new_hashes_is_seen_against_a_retained_checkpoint(ledger, path):
    kept = [ledger.checkpoint(2), ledger.checkpoint()]
    honest = [entry["body"] for entry in ledger]
    path.unlink()
    forged = Ledger.open(path, create=True)
    forged.extend([("score", entry) for entry in [*honest[:4], body(99), *honest[5:]]])
    assert forged.verify().size == 8  # consistent in itself
    with pytest.raises(LedgerError, match="history was rewritten"):
        forged.verify(checkpoints=kept)


def test_an_edit_of_the_last_entry_is_seen_against_the_published_checkpoint(ledger, path):
    ledger.publish()
    entries = lines(path)
    write(path, [*entries[:-1], edited(entries[-1], body=body(99))])
    refused(path, 0, "history was rewritten")


def test_the_first_entry_no_checkpoint_vouches_for_is_named(ledger, path):
    kept = [ledger.checkpoint(size) for size in (8, 6, 3)]
    entries = lines(path)
    write(path, [*entries[:-1], edited(entries[-1], body=body(99))])
    with pytest.raises(LedgerError, match="it or one up to 7") as caught:
        Ledger.open(path).verify(checkpoints=kept)
    assert caught.value.seq == 6


def test_a_removed_ledger_is_seen_against_the_published_checkpoint(ledger, path):
    ledger.publish()
    path.unlink()
    refused(path, 0, "covers 8 entries, 0 are left", create=True)


def test_an_open_ledger_sees_changes_made_behind_its_back(ledger, path):
    entries = lines(path)
    write(path, [*entries[:-1], edited(entries[-1], body=body(9))])
    with pytest.raises(LedgerError, match="not what was read or written before") as caught:
        ledger.verify()
    assert caught.value.seq == 7
    write(path, entries[:6])
    with pytest.raises(LedgerError, match="tail truncated") as caught:
        ledger.verify()
    assert caught.value.seq == 6
    with pytest.raises(LedgerError, match="shorter"):
        ledger.append("score", body(1))
    assert lines(path) == entries[:6]


def test_a_checkpoint_is_not_replaced_by_one_that_contradicts_it(ledger, path):
    ledger.publish()
    published = ledger.checkpoint_path.read_text()
    ledger.checkpoint_path.unlink()
    write(path, lines(path)[:5])
    left = Ledger.open(path)
    ledger.checkpoint_path.write_text(published)
    with pytest.raises(LedgerError, match="truncated"):
        left.publish()
    assert ledger.checkpoint_path.read_text() == published


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
